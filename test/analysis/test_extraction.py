"""Sub-networks: the arithmetic of their table, and which models and experts it is made with."""

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tiny import ENCODER, TASKS, tiny_config, tiny_model

from aio_toolkit.analysis import extraction
from aio_toolkit.analysis.extraction import extract_task, measure_visits, sweep_budgets
from aio_toolkit.decoding.config import DecodeConfig
from aio_toolkit.errors import AioError
from aio_toolkit.models.checkpoint import MODEL, LoadedAio, Provenance, load_aio
from aio_toolkit.models.ssl import SslModel
from aio_toolkit.models.subnetwork import count_parameters
from aio_toolkit.moe.base import RoutingTable
from aio_toolkit.moe.layer import MoEConfig

# --- one row ---


def row_of(
    folder: Path, whole: tuple[str, float], score: tuple[str, float], **changed
) -> list[str]:
    """A row of the table; two layers keep one and three experts."""
    (folder / MODEL).write_bytes(bytes(1_260_000))
    values = {
        "task": "asr",
        "budget": "4",
        "kept": {"block0": [3], "block1": [0, 2, 7]},
        "share": 0.2549,
        "folder": folder,
        "speed": 1.236,
        "score": score,
        "whole": whole,
    }
    return extraction._row(**values | changed)


def test_a_row_tells_experts_share_size_and_speed(tmp_path):
    row = row_of(tmp_path, ("BLEU", 40.0), ("BLEU", 30.0))
    assert row == ["asr", "4", "4", "25.5 %", "1.3", "1.24", "30.00", "+25.0"]


def test_the_whole_model_has_the_experts_of_its_tables(tmp_path):
    table = RoutingTable(torch.ones(2), *[torch.zeros(2, 5)] * 4, torch.ones(2))
    row = row_of(tmp_path, ("WER", 9.0), ("WER", 9.0), kept={"block0": table, "block1": table})
    assert row[2] == "10"


@pytest.mark.parametrize(
    ("metric", "whole", "score", "loss"),
    [
        ("WER", 20.0, 25.0, "+25.0"),  # more errors are a loss
        ("WER", 20.0, 15.0, "-25.0"),
        ("BLEU", 40.0, 30.0, "+25.0"),  # a lower score is one
        ("BLEU", 40.0, 44.0, "-10.0"),
        ("SI-SDRi", 8.0, 6.0, "+25.0"),
        ("SI-SDRi", -2.0, -3.0, "+50.0"),  # in per cent of the distance to zero
        ("SI-SDRi", -2.0, -1.0, "-50.0"),
        ("WER", 20.0, 20.0, "+0.0"),
        ("BLEU", 40.0, 40.001, "+0.0"),
    ],
)
def test_the_loss_is_what_gets_worse_in_per_cent_of_the_whole_model_s(
    tmp_path, metric, whole, score, loss
):
    assert row_of(tmp_path, (metric, whole), (metric, score))[-1] == loss


# --- the table ---


def make_loaded(vocabulary, moe: MoEConfig | None = None) -> LoadedAio:
    provenance = Provenance({"sample_rate": 8000}, {})
    model = tiny_model(vocabulary, moe).eval()
    ssl_config = SslModel.Config(encoder=ENCODER)
    return LoadedAio(model, tiny_config(moe), ssl_config, vocabulary, provenance)


def make_tables(loaded: LoadedAio) -> dict[str, RoutingTable]:
    """Recognition visits experts 1, 3 and 2, separation 0 and 3, in this order of load."""
    count_GE = torch.tensor([[0.0, 60, 10, 30], [70.0, 0, 0, 30]])
    table = RoutingTable(torch.tensor([50.0, 50.0]), *[count_GE] * 4, torch.zeros(2))
    return dict.fromkeys(loaded.model.backbone.moe_layers(), table)


@dataclass
class Sweep:
    """Rows of the table as cells, and what was decoded and scored for them."""

    out: Path
    rows: list[list[str]]
    decoded: list[tuple[Path, list[str]]]


@pytest.fixture
def sweep(vocabulary, tmp_path, monkeypatch):
    """The function that runs a sweep in which scores and times are given."""

    def run(tasks: list[str], budgets: list[int], scores: dict[str, float]) -> Sweep:
        decoded = []

        def decode_split(config, model_dir, codec, data, dump, out, tasks):
            assert load_aio(model_dir / MODEL).model.tasks in (TASKS, tasks)
            decoded.append((out, tasks))

        def score_decode_dir(data, decode, sample_rate, num_jobs, tasks):
            assert sample_rate == 8000
            score = {"value": scores[decode.parent.name]}
            audio = {"improvement": {"codec": {"value": -99}, "wiener": score}}
            result = {"asr": {"metric": "WER", "score": score}, "sep": audio}
            return {"tasks": result}

        monkeypatch.setattr(extraction, "decode_split", decode_split)
        monkeypatch.setattr(extraction, "score_decode_dir", score_decode_dir)
        monkeypatch.setattr(extraction, "DumpDataset", lambda data, dump, tasks: tasks)
        monkeypatch.setattr(extraction, "_speed", lambda whole, small, dataset: 2.5)
        loaded, test = make_loaded(vocabulary), (tmp_path / "data", tmp_path / "dump")
        options = (DecodeConfig(), "codec", test, tmp_path / "out")
        table = sweep_budgets(loaded, make_tables(loaded), tasks, budgets, *options)
        assert table in (tmp_path / "out" / "EXTRACTION.md").read_text()
        lines = [line.strip("|").split("|") for line in table.splitlines()[2:]]
        rows = [[cell.strip() for cell in line] for line in lines]
        return Sweep(tmp_path / "out", rows, decoded)

    return run


def test_budgets_follow_the_whole_model_from_the_largest_to_the_smallest(sweep):
    scores = {"whole": 20.0, "asr_visited": 20.0, "asr_2": 22.0, "asr_1": 30.0}
    found = sweep(["asr"], [1, 2], scores)
    num_layers = len(layers_of(found))
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


def layers_of(found: Sweep) -> dict:
    return load_aio(found.out / "whole" / MODEL).model.backbone.moe_layers()


def test_a_row_tells_share_and_size_of_the_model_that_was_scored(sweep):
    found = sweep(["asr"], [1], {"whole": 20.0, "asr_visited": 20.0, "asr_1": 30.0})
    whole = count_parameters(load_aio(found.out / "whole" / MODEL).model.backbone)
    for row, name in zip(found.rows, ("whole", "asr_visited", "asr_1"), strict=True):
        path = found.out / name / MODEL
        share = count_parameters(load_aio(path).model.backbone) / whole
        assert row[3] == f"{100 * share:.1f} %"
        assert row[4] == f"{path.stat().st_size / 1e6:.1f}"


def test_audio_is_scored_by_the_gain_of_the_wiener_output(sweep):
    found = sweep(["sep"], [], {"whole": 4.0, "sep_visited": 3.0})
    assert [row[-2:] for row in found.rows] == [["4.00", "+0.0"], ["3.00", "+25.0"]]


def test_each_model_decodes_the_task_alone_into_its_own_folder(sweep):
    scores = {"whole": 20.0, "asr_visited": 20.0, "sep_visited": 3.0}
    found = sweep(["asr", "sep"], [], scores)
    folders = ["whole", "asr_visited", "whole", "sep_visited"]
    tasks = [["asr"], ["asr"], ["sep"], ["sep"]]
    want = [(found.out / folder / "decode", of) for folder, of in zip(folders, tasks, strict=True)]
    assert found.decoded == want


# --- one sub-network ---


def test_a_task_is_extracted_with_the_experts_that_it_visits(vocabulary, tmp_path):
    loaded = make_loaded(vocabulary)
    line = extract_task(loaded, make_tables(loaded), "sep", 0.0, None, tmp_path)
    small = load_aio(tmp_path / MODEL)
    assert small.model.tasks == ["sep"] and small.vocabulary is None
    kept = json.loads((tmp_path / "kept_experts.json").read_text())
    names = list(loaded.model.backbone.moe_layers())
    assert kept == dict.fromkeys(names, [0, 3])
    share = count_parameters(small.model.backbone) / count_parameters(loaded.model.backbone)
    counts = " ".join(f"{name}:2" for name in names)
    assert f"{100 * share:.1f} % of the backbone's parameters, experts kept {counts}" in line


@pytest.mark.parametrize(
    ("min_load", "most", "kept"), [(0.0, 2, [1, 3]), (0.5, None, [1, 3]), (2.0, None, [1])]
)
def test_less_is_kept_where_load_or_number_is_limited(vocabulary, tmp_path, min_load, most, kept):
    """Of an even load of a quarter, recognition gives its experts 2.4, 1.2 and 0.4."""
    loaded = make_loaded(vocabulary)
    extract_task(loaded, make_tables(loaded), "asr", min_load, most, tmp_path)
    found = json.loads((tmp_path / "kept_experts.json").read_text())
    assert set(map(tuple, found.values())) == {tuple(kept)}


def test_a_task_that_the_model_lacks_is_named(vocabulary, tmp_path):
    loaded = make_loaded(vocabulary)
    with pytest.raises(AioError, match="the model has no task 'st'. Its tasks: asr, sep"):
        extract_task(loaded, make_tables(loaded), "st", 0.0, None, tmp_path)


def test_a_dense_model_is_refused(vocabulary, tmp_path):
    make_loaded(vocabulary, MoEConfig(layers=[])).save(tmp_path / MODEL)
    with pytest.raises(AioError, match="is dense: it has no experts to choose from"):
        measure_visits(tmp_path, tmp_path / "data", tmp_path / "dump")


# --- speed ---


class TimedModel:
    """Takes the given seconds, one after the other, on a clock of the test's own."""

    tasks = ["asr"]

    def __init__(self, clock: list[float], seconds: list[float]):
        self.clock, self.seconds = clock, iter(seconds)
        self.rows: list[int] = []

    def encode(self, feats_BTF, lengths_B, task_B):
        self.rows.append(len(feats_BTF))
        self.clock[0] += next(self.seconds)


def test_speed_is_the_ratio_of_median_times(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(extraction.time, "perf_counter", lambda: clock[0])
    whole = TimedModel(clock, [90.0, 6.0, 5.0, 1.0, 6.0])
    small = TimedModel(clock, [2.0, 50.0, 0.1, 2.0, 0.2])
    utterances = [SimpleNamespace(id=f"asr-{i}", task="asr") for i in range(20)]
    feats = {utterance.id: torch.zeros(3, 4).numpy() for utterance in utterances}

    class Dataset:
        def __len__(self):
            return len(utterances)

    dataset = Dataset()
    dataset.utterances, dataset.feats = utterances, feats
    assert extraction._speed(whole, small, dataset) == pytest.approx(6.0 / 2.0)
    assert whole.rows == small.rows == [16] * 5
