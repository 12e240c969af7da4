"""Sub-networks: which models and experts their table is made with, and what is written."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from markdown import cells_of
from tiny import (
    ALL,
    CODEC,
    TASKS,
    named,
    save_tiny,
    tiny_model,
    tiny_moe,
    write_dump,
)

from aio_toolkit.analysis import extraction
from aio_toolkit.analysis.extraction import Extraction, open_extraction, time_ratio
from aio_toolkit.bin import extract as command
from aio_toolkit.config import from_values
from aio_toolkit.errors import AioError
from aio_toolkit.layers import count_parameters
from aio_toolkit.models.checkpoint import MODEL, LoadedAio, load_aio
from aio_toolkit.moe.base import RoutingTable
from aio_toolkit.moe.mixture import MoE
from aio_toolkit.scoring.base import Column
from aio_toolkit.scoring.intervals import Interval
from aio_toolkit.scoring.results import MetricInfo, Results, Score, TaskResult
from aio_toolkit.tasks import Task

ASR, SEP = TASKS


def make_loaded(vocabulary, moe: MoE.Config | None = None) -> LoadedAio:
    model = tiny_model(vocabulary, moe).eval()
    return LoadedAio(model, CODEC)


def make_tables(loaded: LoadedAio) -> dict[str, RoutingTable]:
    """Recognition visits experts 1, 3 and 2, separation 0 and 3, in this order of load."""
    count_GE = torch.tensor([[0.0, 60, 10, 30], [70.0, 0, 0, 30]])
    table = RoutingTable(torch.tensor([50.0, 50.0]), *[count_GE] * 4, torch.zeros(2))
    return dict.fromkeys(loaded.model.backbone.moe_layers(), table)


def make_extraction(vocabulary, out: Path, **options) -> Extraction:
    loaded = make_loaded(vocabulary)
    return Extraction(Extraction.Config(**options), loaded, make_tables(loaded), ALL, out)


# --- the table ---


@dataclass
class Sweep:
    """Rows of the table as cells, and what was decoded and scored for them."""

    out: Path
    rows: list[list[str]]
    decoded: list[tuple[Path, list[str]]]


def results_of(task: Task, value: float) -> Results:
    """What scoring says: `value` is the word error rate, or the gain of the masked output."""
    if task == ASR:
        info, columns = MetricInfo("WER", "%", False, {}, ""), [Column("score", "hypothesis")]
        values = {("hypothesis", ""): value}
    else:
        info = MetricInfo("SI-SDR", "dB", True, {}, "")
        outputs = ("masked", "wiener")
        columns = [Column("gain", output, over="mixture") for output in outputs]
        values = {("wiener", "mixture"): -99.0, ("masked", "mixture"): value}
    scores = []
    for (output, over), score in values.items():
        scores.append(Score(output, "", "m", over, Interval(score, score, score, n=1)))
    first = columns[0].output
    result = TaskResult(task.name, {"m": info}, list(task.targets), columns, first, 1, scores, [])
    return Results("data", 16000, {}, [], [result])


@pytest.fixture
def sweep(vocabulary, tmp_path, monkeypatch):
    """The function that compares budgets where scores and times are given."""

    def run(tasks: list[Task], budgets: list[int], scores: dict[str, float]) -> Sweep:
        decoded = []
        test = tmp_path / "data"

        def decode_data_dir(config, model_dir, run):
            assert config is made.config.decode and run.data is test
            assert model_dir == run.out.parent
            known = [task.name for task in load_aio(model_dir / MODEL).model.tasks]
            assert known == (["asr", "sep"] if model_dir.name == "whole" else run.names)
            decoded.append((run.out, run.names))

        def score_decode_dir(run):
            assert (run.data, run.tasks, run.num_jobs) == (test, ALL, 3)
            assert (run.decode, run.names) == decoded[-1]
            return results_of(ALL[run.names[0]], scores[run.decode.parent.name])

        monkeypatch.setattr(extraction, "decode_data_dir", decode_data_dir)
        monkeypatch.setattr(extraction, "score_decode_dir", score_decode_dir)
        monkeypatch.setattr(extraction, "read_inputs", lambda data, tasks, sample_rate: [])
        monkeypatch.setattr(extraction, "time_ratio", lambda whole, small, utterances: 2.5)
        # Options of a single sub-network, which the table must not heed.
        limits = {"min_load": 2.0, "max_experts": 1}
        made = make_extraction(vocabulary, tmp_path / "out", budgets=budgets, **limits)
        table = made.compare(tasks, test, num_jobs=3)
        assert table in (tmp_path / "out" / "EXTRACTION.md").read_text()
        _, *rows = cells_of(table)
        return Sweep(tmp_path / "out", rows, decoded)

    return run


@pytest.mark.parametrize("budgets", [[1, 2], [2, 1]])
def test_budgets_follow_the_whole_model_from_the_largest_to_the_smallest(sweep, budgets):
    scores = {"whole": 20.0, "asr_visited": 20.0, "asr_2": 22.0, "asr_1": 30.0}
    found = sweep([ASR], budgets, scores)
    num_layers = len(load_aio(found.out / "whole" / MODEL).model.backbone.moe_layers())
    assert [row[:3] for row in found.rows] == [
        ["asr", "whole", str(4 * num_layers)],
        ["asr", "visited", str(3 * num_layers)],
        ["asr", "2", str(2 * num_layers)],
        ["asr", "1", str(num_layers)],
    ]
    assert [row[-2:] for row in found.rows] == [
        ["20.00", "+0.0"],
        ["20.00", "+0.0"],
        ["22.00", "+10.0"],
        ["30.00", "+50.0"],
    ]
    assert [row[5] for row in found.rows] == ["1.00", "2.50", "2.50", "2.50"]


def test_a_row_tells_share_and_size_of_the_model_that_was_scored(sweep):
    found = sweep([ASR], [1], {"whole": 20.0, "asr_visited": 20.0, "asr_1": 30.0})
    whole = count_parameters(load_aio(found.out / "whole" / MODEL).model.backbone)
    for row, name in zip(found.rows, ("whole", "asr_visited", "asr_1"), strict=True):
        path = found.out / name / MODEL
        share = count_parameters(load_aio(path).model.backbone) / whole
        assert row[3] == f"{100 * share:.1f} %"
        assert row[4] == f"{path.stat().st_size / 1e6:.1f}"


def test_audio_is_scored_by_the_gain_of_the_masked_output(sweep):
    found = sweep([SEP], [], {"whole": 4.0, "sep_visited": 3.0})
    assert [row[-2:] for row in found.rows] == [["4.00", "+0.0"], ["3.00", "+25.0"]]


def test_each_model_decodes_the_task_alone_into_its_own_folder(sweep):
    scores = {"whole": 20.0, "asr_visited": 20.0, "sep_visited": 3.0}
    found = sweep([ASR, SEP], [], scores)
    folders = ["whole", "asr_visited", "whole", "sep_visited"]
    tasks = [["asr"], ["asr"], ["sep"], ["sep"]]
    want = [(found.out / folder / "decode", of) for folder, of in zip(folders, tasks, strict=True)]
    assert found.decoded == want


# --- one sub-network ---


def test_a_task_is_extracted_with_the_experts_that_it_visits(vocabulary, tmp_path):
    made = make_extraction(vocabulary, tmp_path)
    whole = made.loaded.model.backbone
    line = made.write(SEP)
    small = load_aio(tmp_path / "sep" / MODEL).model
    assert small.tasks == [SEP] and list(small.units) == ["audio"]
    kept = json.loads((tmp_path / "sep" / "kept_experts.json").read_text())
    names = list(whole.moe_layers())
    assert kept == dict.fromkeys(names, [0, 3])
    share = count_parameters(small.backbone) / count_parameters(whole)
    counts = " ".join(f"{name}:2" for name in names)
    assert f"{100 * share:.1f} % of the backbone's parameters, experts kept {counts}" in line


@pytest.mark.parametrize(
    ("min_load", "max_experts", "kept"),
    [(0.0, 2, [1, 3]), (0.5, None, [1, 3]), (2.0, None, [1])],
)
def test_less_is_kept_where_load_or_number_is_limited(
    vocabulary, tmp_path, min_load, max_experts, kept
):
    """Of an even load of a quarter, recognition gives its experts 2.4, 1.2 and 0.4."""
    made = make_extraction(vocabulary, tmp_path, min_load=min_load, max_experts=max_experts)
    made.write(ASR)
    found = json.loads((tmp_path / "asr" / "kept_experts.json").read_text())
    assert set(map(tuple, found.values())) == {tuple(kept)}


def test_extraction_leaves_the_whole_model_as_it_is(vocabulary, tmp_path):
    made = make_extraction(vocabulary, tmp_path, max_experts=1)
    before = {name: tensor.clone() for name, tensor in made.loaded.model.state_dict().items()}
    made.write(ASR)
    after = made.loaded.model.state_dict()
    assert after.keys() == before.keys() and made.loaded.model.tasks == TASKS
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


# --- what is asked for ---


def test_without_names_all_tasks_of_the_model_are_extracted(vocabulary, tmp_path):
    made = make_extraction(vocabulary, tmp_path)
    assert made.tasks([]) == TASKS
    assert made.tasks(["sep"]) == [SEP]


def test_a_task_that_the_model_lacks_is_named(vocabulary, tmp_path):
    made = make_extraction(vocabulary, tmp_path)
    with pytest.raises(AioError, match="unknown task 'st'. Known tasks: asr, sep"):
        made.tasks(["st"])


@pytest.mark.parametrize("options", [{"max_experts": 0}, {"budgets": [2, 0]}])
def test_a_layer_without_experts_is_refused(vocabulary, tmp_path, options):
    with pytest.raises(AioError, match="'max_experts' and 'budgets': 0 experts are no layer"):
        make_extraction(vocabulary, tmp_path, **options)


def test_a_dense_model_is_refused(vocabulary, tmp_path):
    dense = tiny_model(vocabulary, tiny_moe(feed_forward={"layers": []}))
    save_tiny(tmp_path / MODEL, dense)
    with pytest.raises(AioError, match="is dense: it has no experts to choose from"):
        open_extraction(Extraction.Config(), tmp_path, tmp_path / "data", ALL, tmp_path / "out")


# --- a real model and a real dump ---


@pytest.fixture
def trained(vocabulary, tmp_path) -> Path:
    """The folder of a model that knows more tasks than the data has, beside data and dump."""
    write_dump(tmp_path, splits=("dev", "test"), num=2, tasks=("asr",))
    save_tiny(tmp_path / "exp" / MODEL, tiny_model(vocabulary).eval())
    return tmp_path


def test_a_task_that_the_data_lacks_cannot_be_extracted_but_others_can(trained):
    dev = trained / "data" / "dev"
    made = open_extraction(Extraction.Config(), trained / "exp", dev, ALL, trained / "out")
    with pytest.raises(AioError, match="no utterance of the task"):
        made.write(SEP)
    made.write(ASR)
    assert load_aio(trained / "out" / "asr" / MODEL).model.tasks == [ASR]


def arguments_of(root: Path) -> list[str]:
    """The command line, but for its settings and where to test."""
    tasks = Path(__file__).parents[2] / "egs/TEMPLATE/conf/tasks.yaml"
    line = f"extract --model {root / 'exp'} --data {root / 'data' / 'dev'} --task asr"
    return f"{line} --out {root / 'out'} --tasks_config {tasks}".split()


def call(monkeypatch, arguments: Sequence[str]) -> None:
    monkeypatch.setattr(sys, "argv", list(arguments))
    command.main()


def test_the_command_writes_the_sub_networks_that_it_is_asked_for(trained, monkeypatch, capsys):
    call(monkeypatch, [*arguments_of(trained), "--set", "max_experts=1"])
    assert "experts kept block1.feed_forward:1" in capsys.readouterr().out
    (layer,) = load_aio(trained / "out" / "asr" / MODEL).model.backbone.moe_layers().values()
    assert layer.router.num_experts == 1


def test_the_command_compares_budgets_by_real_scores(trained, monkeypatch, capsys):
    where = f"--test_data {trained / 'data' / 'test'}".split()
    settings = ["budgets=[1]", "decode.decoders.text.beam_size=1"]
    call(monkeypatch, [*arguments_of(trained), *where, "--set", *settings])
    _, whole, visited, single = cells_of(capsys.readouterr().out)
    assert [row[1] for row in (whole, visited, single)] == ["whole", "visited", "1"]
    # New gates are zero, so that all frames visit the same two experts, on dev as on test.
    assert (visited[2], *visited[-2:]) == ("2", whole[-2], "+0.0")
    assert single[2] == "1"
    assert (trained / "out" / "EXTRACTION.md").is_file()


def test_the_command_asks_where_to_compare_budgets(trained, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        call(monkeypatch, [*arguments_of(trained), "--set", "budgets=[1]"])
    assert "budgets are compared on --test_data" in capsys.readouterr().err


def test_options_of_decoding_stand_in_the_configuration():
    values = {"budgets": [4, 2], "decode": {"decoders": {"text": {"beam_size": 7}}}}
    config = from_values(Extraction.Config, values, "extract.yaml")
    assert config.decode.decoders["text"].beam_size == 7


# --- speed ---


class TimedModel:
    """Takes the given seconds, one after the other, on a clock of the test's own."""

    def __init__(self, clock: list[float], seconds: list[float], tasks: list[Task]):
        self.clock, self.seconds, self.tasks = clock, iter(seconds), tasks
        self.rows: list[int] = []
        self.indices: set[int] = set()

    def encode(self, batch):
        self.rows.append(len(batch.ids))
        self.indices.update(batch.task_B.tolist())
        self.clock[0] += next(self.seconds)


@pytest.fixture
def timed(monkeypatch):
    """The whole model and a small one, timed on twenty utterances, and the ratio."""
    clock = [0.0]
    monkeypatch.setattr(extraction.time, "perf_counter", lambda: clock[0])
    whole = TimedModel(clock, [90.0, 6.0, 5.0, 1.0, 6.0], named("sep", "asr"))
    small = TimedModel(clock, [2.0, 50.0, 0.1, 2.0, 0.2], named("asr"))
    utterances = [SimpleNamespace(id=f"asr-{i}", task=ASR) for i in range(20)]
    monkeypatch.setattr(extraction, "read_batch", batch_of)
    return whole, small, time_ratio(whole, small, utterances)


def batch_of(model: TimedModel, utterances: list[SimpleNamespace]) -> SimpleNamespace:
    """What the models look at."""
    names = [task.name for task in model.tasks]
    task_B = torch.tensor([names.index(u.task.name) for u in utterances])
    return SimpleNamespace(ids=[u.id for u in utterances], task_B=task_B)


def test_speed_is_the_ratio_of_median_times(timed):
    assert timed[2] == pytest.approx(6.0 / 2.0)


def test_both_models_are_timed_on_the_same_utterances(timed):
    whole, small, _ = timed
    assert whole.rows == small.rows == [16] * 5


def test_each_model_is_told_the_task_by_its_own_index(timed):
    whole, small, _ = timed
    assert (whole.indices, small.indices) == ({1}, {0})
