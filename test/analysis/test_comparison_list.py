"""A list of systems becomes options of run.sh, and what is wrong in it is named."""

import re
from pathlib import Path

import pytest

from aio_toolkit.analysis.comparison_list import ComparisonList, PlannedRun, read_list
from aio_toolkit.config import load_config
from aio_toolkit.errors import AioError

ROOT = Path(__file__).parents[2]
CONF = ROOT / "egs/mini_aio/conf"
GIVEN = {
    "stage": "1",
    "stop_stage": "8",
    "seed": "",
    "tag": "",
    "keep": "",
    "adapt_config": "",
    "compare": "conf/compare.yaml",
    "test_sets": "test",
    "nj": "2",
    "ngpu": "0",
    "codec": "codec",
    "decode_tasks": "",
    "parts": "",
    "ssl_config": str(CONF / "train_ssl.yaml"),
    "train_config": str(CONF / "train_aio.yaml"),
    "decode_config": str(CONF / "decode.yaml"),
    "ssl_args": "",
    "train_args": "",
    "decode_args": "",
}
WORDS = [word for name, text in GIVEN.items() for word in (f"--{name}", text)]


@pytest.fixture
def read(tmp_path):
    """A function that reads a list from its text."""

    def read(text: str, words: list[str] = WORDS) -> ComparisonList:
        (tmp_path / "list.yaml").write_text(text)
        return read_list(tmp_path / "list.yaml", words)

    return read


def test_runs_are_made_seed_by_seed(read):
    plan = read("seeds: [4, 2]\nsystems: {b: {}, a: {}, c: {}}")
    order = [(run.seed, run.system) for run in plan.runs]
    assert order == [(4, "b"), (4, "a"), (4, "c"), (2, "b"), (2, "a"), (2, "c")]


def test_a_list_that_says_nothing_else_is_of_three_seeds_on_dev(read):
    runs = read("systems: {demo: {}}").runs
    assert [(run.seed, run.split) for run in runs] == [(0, "dev"), (1, "dev"), (2, "dev")]


def test_the_recipe_s_own_list_can_be_read(monkeypatch):
    monkeypatch.chdir(CONF.parent)
    plan = read_list(Path("conf/compare.yaml"), WORDS)
    assert len(plan.systems) > 1 and len(plan.runs) == 3 * len(plan.systems)


def test_pairs_of_all_come_before_those_of_a_system_and_other_options_give_way(read):
    plan = read(
        "options: {train_args: optim.lr=1e-3, nj: 3, train_config: no.yaml}\n"
        f"systems: {{demo: {{train_config: {CONF}/train_aio_dense.yaml, "
        "train_args: [optim.lr=2e-3, trainer.max_steps=9]}}",
        [*WORDS, "--train_args", "optim.warmup_steps=5"],
    )
    options = plan.systems["demo"]
    assert options["train_args"] == (
        "optim.warmup_steps=5 optim.lr=1e-3 optim.lr=2e-3 trainer.max_steps=9"
    )
    assert options["nj"] == "3" and options["train_config"].endswith("dense.yaml")
    assert options["codec"] == "codec"


def test_values_are_told_as_a_shell_has_them(read):
    system = "{nj: 3, decode_tasks: [sep, enh], codec: , decode_args: decoders.text.beam_size=2}"
    options = read(f"systems: {{demo: {system}, other: }}").systems
    assert options["demo"]["nj"] == "3" and options["demo"]["decode_tasks"] == "sep enh"
    assert options["demo"]["codec"] == ""
    assert options["other"]["decode_tasks"] == ""


def test_run_sh_is_told_everything_but_what_the_list_takes_over(read):
    (run,) = read("split: dev\nseeds: [5]\nsystems: {demo: {}}").runs
    words = run.arguments(Path("results/list/demo/5"))
    told = dict(zip(words[::2], words[1::2], strict=True))
    own = {
        "--stage": "3",
        "--stop_stage": "6",
        "--seed": "5",
        "--test_sets": "dev",
        "--keep": "results/list/demo/5",
    }
    rest = {"--nj", "--ngpu", "--codec", "--decode_tasks", "--parts"}
    rest |= {
        f"--{name}_{what}" for name in ("ssl", "train", "decode") for what in ("config", "args")
    }
    assert told.keys() == own.keys() | rest
    assert own.items() <= told.items()


def test_hardware_does_not_tell_runs_apart(read):
    (run,) = read("seeds: [5]\nsystems: {demo: {}}").runs
    (other,) = read("seeds: [5]\nsystems: {demo: {nj: 9, ngpu: 1}}").runs
    (third,) = read("seeds: [5]\nsystems: {demo: {decode_tasks: sep}}").runs
    (fourth,) = read("seeds: [5]\nsplit: test\nsystems: {demo: {}}").runs
    assert run.told == other.told
    assert run.told != third.told and run.told != fourth.told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("systems: {}", "key 'systems' names none"),
        ("seeds: []\nsystems: {demo: {}}", "key 'seeds' is []. Write different numbers"),
        ("seeds: [1, 1]\nsystems: {demo: {}}", "key 'seeds' is [1, 1]"),
        ("seeds: [-1]\nsystems: {demo: {}}", "key 'seeds' is [-1]"),
        ("seeds: 3\nsystems: {demo: {}}", "seeds"),
        ("sytems: {demo: {}}", "Did you mean 'systems'?"),
        ("systems: {a/b: {}}", "system 'a/b' is to name a folder"),
        ("systems: {..: {}}", "system '..' is to name a folder"),
        ("systems: {demo: optim.lr=1}", "key 'systems.demo' is a section of options"),
        ("systems: {demo: {train_agrs: a}}", "no option --train_agrs. Did you mean train_args?"),
        ("options: {seed: 3}\nsystems: {demo: {}}", "'options.seed' is not the list's to give"),
        ("systems: {demo: {tag: x}}", "'systems.demo.tag' is not the list's to give"),
        ("systems: {demo: {}, b: {train_args: optim.lrr=1}}", "system 'b': override 'optim.lrr=1'"),
        ("systems: {b: {decode_args: beam=1}}", "system 'b': override 'beam=1'"),
        ("systems: {b: {ssl_config: no.yaml}}", "system 'b': configuration no.yaml does not exist"),
    ],
)
def test_what_is_wrong_in_a_list_is_named(read, text, message):
    with pytest.raises(AioError, match=re.escape(message)) as raised:
        read(text)
    assert "list.yaml" in str(raised.value)


@pytest.mark.parametrize("name", ["seed", "tag", "keep", "adapt_config"])
def test_what_goes_against_a_list_is_refused_on_the_command_line(read, name):
    with pytest.raises(AioError, match=f"--compare and --{name} do not go together"):
        read("systems: {demo: {}}", [*WORDS, f"--{name}", "3"])


def test_a_list_may_be_another_one_on_another_split(read, tmp_path):
    (tmp_path / "first.yaml").write_text("seeds: [7]\nsystems: {demo: {}}")
    (run,) = read("base: first.yaml\nsplit: test").runs
    assert (run.system, run.seed, run.split) == ("demo", 7, "test")


def test_folders_are_named_by_system_and_seed():
    run = PlannedRun("lr_1e-3", 2, "dev", {})
    assert run.folder(Path("results/x")) == Path("results/x/lr_1e-3/2")
    assert run.title == "lr_1e-3, seed 2"


def test_the_defaults_of_a_list_are_no_surprise():
    config = load_config(ComparisonList.Config, None)
    assert (config.split, config.seeds) == ("dev", [0, 1, 2])
