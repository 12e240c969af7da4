"""What is finished is not run again, what is not is, and a run that fails is named at the end.

The stages are a script that takes a folder from a shelf of finished runs.
"""

import dataclasses
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from kept_runs import write_run
from tiny import TASKS_YAML, write_dump

from aio_toolkit.analysis.comparison_list import ComparisonList, read_list
from aio_toolkit.analysis.comparison_runs import Comparison, System, run_script
from aio_toolkit.answers.decode_stamp import DecodeStamp
from aio_toolkit.config import to_dict
from aio_toolkit.data.digest import digest_of
from aio_toolkit.data.inputs import read_inputs
from aio_toolkit.errors import AioError, StoppedError
from aio_toolkit.files import write_json
from aio_toolkit.training.run import Run

SCRIPT = """
while [ $# -gt 0 ]; do declare "${1#--}=$2"; shift 2; done
system=$(basename "$(dirname "$keep")")
echo "$system $seed $stage-$stop_stage $test_sets [$train_args]" >>calls
if [ -e "fail_${system}_$seed" ]; then exit 3; fi
mkdir -p "$keep" && cp -r "shelf/$system/$seed/." "$keep"
"""
TRAIN = "data: {seconds: {asr: 1.0}}\ntrainer: {max_steps: 2, precision: auto}\n"
LIST = "seeds: [0]\nsystems: {demo: {}, other: {train_args: optim.lr=0.5}}\n"


class Recipe:
    """A recipe's folder, which is the current one."""

    def __init__(self, root: Path):
        self.root = root
        (root / "stages.sh").write_text(SCRIPT)
        (root / "ssl.yaml").write_text("trainer: {max_steps: 2}\n")
        (root / "train.yaml").write_text(TRAIN)
        (root / "decode.yaml").write_text("batch_seconds: 9\n")
        self.write_list(LIST)
        write_dump(root, ("train", "dev"), tasks=("asr",))
        self.options = {name: "" for name in ("parts", "seed", "tag", "keep")}
        self.options |= {
            f"{name}_{what}": f"{name}.yaml" if what == "config" else ""
            for name in ("ssl", "train", "decode")
            for what in ("config", "args")
        }
        sets = {"train_set": "train", "dev_set": "dev", "adapt_config": ""}
        self.options |= (
            sets
            | {"codec": "codec"}
            | {"datadir": "data", "dumpdir": "dump", "tasks_config": str(TASKS_YAML), "nj": "1"}
        )

    def write_list(self, text: str) -> None:
        (self.root / "list.yaml").write_text(text)

    def comparison(self) -> Comparison:
        words = [word for name, text in self.options.items() for word in (f"--{name}", text)]
        plan = read_list(Path("list.yaml"), words)
        return Comparison(plan, Path("stages.sh"), Path("results/list"))

    def fill_shelf(self) -> None:
        """Finished runs of all that the list names, as the recipe stands."""
        runs = self.comparison().plan.runs
        systems = {run.system: System(run) for run in runs}
        for run in runs:
            system, folder = systems[run.system], Path("shelf", run.system, str(run.seed))
            shutil.rmtree(folder, ignore_errors=True)
            level = 2 + run.seed / 10 + len(run.system)
            write_run(folder, level + np.arange(6) / 10)
            config = dataclasses.replace(system.train, seed=run.seed)
            made_from = config.data.made_from(system.corpus)
            kept = Run(config, folder, made_from | {"exp/train_ssl/model.pt": "0a"})
            kept.claim(kept.settled())
            recordings = read_inputs(system.corpus.split(run.split).data, system.tasks, 16000)
            stamp = DecodeStamp(to_dict(system.decode), "0b", 16000, digest_of(recordings))
            write_json(folder / "decode.json", dataclasses.asdict(stamp))

    def compare(self) -> list[str]:
        """The runs that the stages were called for, oldest first."""
        self.fill_shelf()
        return self.called()

    def called(self) -> list[str]:
        (self.root / "calls").write_text("")
        try:
            self.comparison().run()
        finally:
            self.calls = (self.root / "calls").read_text().splitlines()
        return [" ".join(line.split()[:2]) for line in self.calls]


@pytest.fixture
def recipe(tmp_path, monkeypatch) -> Recipe:
    monkeypatch.chdir(tmp_path)
    # Half a second for each system, and tested with the list.
    monkeypatch.setattr(ComparisonList, "check_configs", lambda self: None)
    return Recipe(tmp_path)


ALL_RUNS = ["demo 0", "other 0"]
TWO_SEEDS = LIST.replace("[0]", "[0, 1]")


def test_everything_is_run_once_seed_by_seed(recipe):
    recipe.write_list(TWO_SEEDS)
    assert recipe.compare() == ["demo 0", "other 0", "demo 1", "other 1"]
    assert recipe.calls[1] == "other 0 3-6 dev [optim.lr=0.5]"
    assert recipe.called() == []


def test_the_table_is_written_and_printed(recipe, capsys):
    recipe.compare()
    table = Path("results/list/RESULTS.md").read_text()
    assert table.startswith("# list on dev\n\n| system | seeds |")
    assert "| demo   |     1 |" in table and "| other  |     1 |" in table
    assert "Not there yet" not in table
    assert table.partition("\n\n")[2] in capsys.readouterr().out


def test_the_table_is_there_before_the_last_run_is(recipe):
    recipe.write_list(TWO_SEEDS)
    Path("fail_demo_1").touch(), Path("fail_other_1").touch()
    with pytest.raises(AioError):
        recipe.compare()
    table = Path("results/list/RESULTS.md").read_text()
    assert "| demo   |     1 |" in table and "| other  |     1 |" in table
    assert table.endswith("\nNot there yet: demo, seed 1; other, seed 1.\n")


def test_a_run_that_fails_is_named_at_the_end_and_run_again(recipe, capsys):
    recipe.write_list(TWO_SEEDS)
    Path("fail_other_0").touch()
    message = "1 of 4 runs failed: other, seed 0. Their messages are above"
    with pytest.raises(AioError, match=re.escape(message)):
        recipe.compare()
    assert len(recipe.calls) == 4
    assert "| demo   |     2 |" in capsys.readouterr().out
    Path("fail_other_0").unlink()
    assert recipe.called() == ["other 0"]


def test_a_new_seed_or_system_is_all_that_is_run(recipe):
    recipe.compare()
    recipe.write_list(TWO_SEEDS)
    assert recipe.compare() == ["demo 1", "other 1"]
    recipe.write_list("seeds: [0]\nsystems: {demo: {}, third: {decode_args: batch_seconds=5}}")
    assert recipe.compare() == ["third 0"]


@pytest.mark.parametrize(
    ("change", "again"),
    [
        (lambda r: r.write_list(LIST.replace("0.5", "0.6")), ["other 0"]),
        (lambda r: r.write_list("split: train\n" + LIST), ALL_RUNS),
        (lambda r: r.write_list("options: {decode_args: batch_seconds=8}\n" + LIST), ALL_RUNS),
        (lambda r: Path("decode.yaml").write_text("batch_seconds: 7\n"), ALL_RUNS),
        (lambda r: Path("train.yaml").write_text(TRAIN.replace("2", "3")), ALL_RUNS),
        (lambda r: r.options.update(train_args="optim.lr=0.1"), ALL_RUNS),
    ],
)
def test_runs_that_were_made_otherwise_are_run_again(recipe, change, again, capsys):
    recipe.compare()
    change(recipe)
    capsys.readouterr()
    assert recipe.called() == again
    assert capsys.readouterr().out.count("other results are there") == len(again)


def test_data_that_have_changed_are_noticed(recipe):
    recipe.compare()
    path = Path("data/train/text")
    path.write_text(path.read_text().replace("red", "blue"))
    assert recipe.called() == ALL_RUNS


def test_recordings_that_have_changed_are_noticed(recipe):
    recipe.write_list("split: extra\n" + LIST)
    shutil.copytree("data/dev", "data/extra")
    recipe.compare()
    assert recipe.called() == []
    shutil.rmtree("data/extra")
    shutil.copytree("data/train", "data/extra")
    assert recipe.called() == ALL_RUNS


def test_an_encoder_that_has_changed_is_noticed_and_one_that_is_not_there_is_not(recipe):
    recipe.compare()
    model = Path("exp/train_ssl/model.pt")
    model.parent.mkdir(parents=True)
    model.write_bytes(b"another")
    assert recipe.called() == ALL_RUNS


def test_splits_may_be_in_another_folder(recipe):
    Path("data").rename("elsewhere")
    recipe.options |= {"datadir": "elsewhere"}
    recipe.compare()
    path = Path("elsewhere/train/text")
    path.write_text(path.read_text().replace("red", "blue"))
    assert recipe.called() == ALL_RUNS


def test_results_alone_make_the_table_where_there_are_no_data(recipe):
    recipe.compare()
    for folder in ("data", "dump", "results/list/RESULTS.md"):
        shutil.rmtree(folder) if Path(folder).is_dir() else Path(folder).unlink()
    assert recipe.called() == []
    assert Path("results/list/RESULTS.md").is_file()


def test_a_machine_of_other_hardware_has_nothing_to_run(recipe):
    recipe.compare()
    recipe.options |= {"nj": "7"}
    for path in Path("results").rglob("config.yaml"):
        text = path.read_text()
        precision = "32-true" if "bf16-mixed" in text else "bf16-mixed"
        path.write_text(re.sub("bf16-mixed|32-true", precision, text))
    assert recipe.called() == []


def test_results_that_were_being_replaced_when_it_was_killed_do_not_count(recipe):
    recipe.compare()
    recipe.write_list(LIST.replace("0.5", "0.6"))
    Path("fail_other_0").touch()
    with pytest.raises(AioError):
        recipe.compare()
    recipe.write_list(LIST)
    Path("fail_other_0").unlink()
    assert recipe.compare() == ["other 0"]


def test_without_stage_2_nothing_is_begun(recipe):
    recipe.fill_shelf()
    Path("dump/train/codec.json").unlink()
    with pytest.raises(AioError, match=re.escape("dump/train/codec.json is not there. Run './run")):
        recipe.called()
    assert recipe.calls == []


def test_what_ends_a_comparison_ends_the_script_and_what_it_runs(tmp_path):
    script = tmp_path / "stages.sh"
    script.write_text(
        """sleep 60 & child=$!
        trap 'kill $child; wait $child; echo "child ended by $?" >"$1"; exit 143' TERM
        kill -ALRM $PPID
        wait"""
    )

    def stop(number: int, frame: object) -> None:
        raise StoppedError(signal.SIGTERM)

    before = signal.signal(signal.SIGALRM, stop)
    try:
        with pytest.raises(StoppedError):
            run_script(script, [str(tmp_path / "ended")])
    finally:
        signal.signal(signal.SIGALRM, before)
    assert (tmp_path / "ended").read_text() == "child ended by 143\n"
