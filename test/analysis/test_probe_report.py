"""The ways to look at features, and the table that puts their scores side by side."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from markdown import cells_of
from tiny import (
    CODEC,
    ENCODER,
    HOP,
    NUM_FEATURES,
    tiny_encoder,
    write_dump,
)

from aio_toolkit.analysis.probe import Extract, Labelled, Probe
from aio_toolkit.analysis.probe_report import contestants, format_probes, write_probes
from aio_toolkit.bin import probe as command
from aio_toolkit.frontend.stack import FrontEndStack
from aio_toolkit.models.checkpoint import MODEL, LoadedSsl
from aio_toolkit.models.ssl import SslEncoder
from aio_toolkit.scoring.intervals import Interval


@pytest.fixture
def encoder() -> SslEncoder:
    torch.manual_seed(1)
    encoder = tiny_encoder()
    encoder.front_end.mean_F.copy_(torch.linspace(-1, 2, NUM_FEATURES))
    encoder.front_end.std_F.copy_(torch.linspace(0.5, 3, NUM_FEATURES))
    return encoder


def make_extracts(encoder: SslEncoder, seed: int = 0) -> dict[str, Extract]:
    return contestants(LoadedSsl(encoder, CODEC), seed)


def wave(frames: int = 9) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(frames * HOP - 7).astype(np.float32)


def normalised(encoder: SslEncoder) -> torch.Tensor:
    wave_1S = torch.from_numpy(wave())[None]
    heard_1TF = encoder.front_end.parts["log_mel"](wave_1S, torch.tensor([len(wave())]))
    return ((heard_1TF - encoder.front_end.mean_F) / encoder.front_end.std_F)[0]


# --- the ways to look ---


def test_layers_are_the_input_then_each_state_then_all_of_them(encoder):
    layers = make_extracts(encoder)["pre-trained"](wave())
    states = encoder(normalised(encoder)[None], torch.tensor([9]))
    assert len(layers) == 1 + len(states) + 1
    torch.testing.assert_close(layers[0], normalised(encoder))
    for layer_TD, state_1TD in zip(layers[1:-1], states, strict=True):
        state_TD = state_1TD[0]
        centred_TD = state_TD - state_TD.mean(-1, keepdim=True)
        variance_T1 = centred_TD.square().mean(-1, keepdim=True)
        torch.testing.assert_close(layer_TD, centred_TD / (variance_T1 + 1e-5).sqrt())
    torch.testing.assert_close(layers[-1], torch.cat(layers[:-1], -1))


def test_the_random_twin_has_the_same_input_and_other_layers(encoder):
    extracts = make_extracts(encoder)
    trained, random = (extracts[name](wave()) for name in ("pre-trained", "random"))
    assert torch.equal(trained[0], random[0])
    for trained_TD, random_TD in zip(trained[1:], random[1:], strict=True):
        assert trained_TD.shape == random_TD.shape
        assert (trained_TD - random_TD).abs().max() > 0.1


def test_the_random_twin_is_a_function_of_its_seed(encoder):
    first, again, other = (make_extracts(encoder, seed)["random"](wave())[-1] for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_log_mel_is_that_part_of_the_input():
    front_end = FrontEndStack.Config(["stft", "log_mel"])
    both = SslEncoder(SslEncoder.Config(ENCODER, front_end=front_end), CODEC.grid)
    extracts = make_extracts(both)
    (layer_TF,) = extracts["log-mel"](wave())
    torch.testing.assert_close(layer_TF, extracts["pre-trained"](wave())[0][:, -160:])


def test_without_log_mel_in_the_input_there_is_no_such_row():
    front_end = FrontEndStack.Config(["stft"])
    other = SslEncoder(SslEncoder.Config(ENCODER, front_end=front_end), CODEC.grid)
    assert list(make_extracts(other)) == ["pre-trained", "random"]


def test_nothing_that_is_looked_at_has_a_gradient_or_dropout(encoder):
    def drop(stem, _, x_BTD):
        return torch.nn.functional.dropout(x_BTD, 0.5, stem.training)

    # Other kinds of encoder have dropout; this one is lent some.
    encoder.stem.register_forward_hook(drop)
    extract = make_extracts(encoder.train())["pre-trained"]
    first, second = extract(wave()), extract(wave())
    assert not any(layer_TD.requires_grad for layer_TD in first)
    assert all(map(torch.equal, first, second))


# --- the table ---


def make_probe(name: str, kind: str) -> Probe:
    side = Labelled([wave(9), wave(7), wave(8)], [0, 1, 0])
    return Probe(name, kind, ["a", "b"], side, side)


def scores_of(*values: float) -> list[Interval]:
    return [Interval(value, value - 1.5, value + 2, 9) for value in values]


PROBES = [make_probe("speaker", "class"), make_probe("content", "text")]
RESULTS = {
    "speaker": {"pre-trained": scores_of(10, 20, 30), "log-mel": scores_of(5)},
    "content": {"pre-trained": scores_of(61, 51, 41), "log-mel": scores_of(71.25)},
}


def test_the_table_has_a_row_for_every_way_to_look_and_a_column_for_every_layer():
    header, *rows = cells_of(format_probes(PROBES, RESULTS))
    assert header == ["probe", "metric", "features", "0", "1", "all"]
    accuracy, errors = "accuracy % (higher)", "character error rate % (lower)"
    speaker = ["10.0 [8.5, 12.0]", "20.0 [18.5, 22.0]", "30.0 [28.5, 32.0]"]
    content = ["61.0 [59.5, 63.0]", "51.0 [49.5, 53.0]", "41.0 [39.5, 43.0]"]
    assert rows == [
        ["speaker", accuracy, "pre-trained", *speaker],
        ["speaker", accuracy, "log-mel", "5.0 [3.5, 7.0]", "-", "-"],
        ["content", errors, "pre-trained", *content],
        ["content", errors, "log-mel", "71.2 [69.8, 73.2]", "-", "-"],
    ]


def test_table_scores_and_plot_are_written(tmp_path):
    table = write_probes(PROBES, RESULTS, tmp_path)
    assert table in (tmp_path / "PROBES.md").read_text()
    assert (tmp_path / "probes.png").read_bytes()[:4] == b"\x89PNG"
    content = json.loads((tmp_path / "probes.json").read_text())
    assert content["speaker"]["log-mel"] == [{"value": 5, "lo": 3.5, "hi": 7, "n": 9}]
    assert [score["value"] for score in content["content"]["pre-trained"]] == [61, 51, 41]


# --- the plot ---


def panels_of(monkeypatch, tmp_path, probes: list[Probe], results: dict) -> list:
    """The panels that `write_probes` draws."""
    from matplotlib.figure import Figure

    drawn = []
    savefig = Figure.savefig

    def keep(figure, *args, **options):
        drawn.extend(figure.axes)
        savefig(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    write_probes(probes, results, tmp_path)
    return drawn


def test_a_panel_shows_the_scores_over_the_layers_and_log_mel_as_a_line(monkeypatch, tmp_path):
    first, second = panels_of(monkeypatch, tmp_path, PROBES, RESULTS)
    assert [axis.get_title() for axis in (first, second)] == ["speaker", "content"]
    (curve,), line = first.containers[0].lines[:1], first.lines[-1]
    assert curve.get_ydata().tolist() == [10, 20, 30]
    assert list(line.get_ydata()) == [5, 5]
    ((low, *_),) = first.containers[0].lines[2][0].get_segments()[:1]
    assert low.tolist() == [0, 8.5]
    assert [label.get_text() for label in first.get_xticklabels()] == ["0", "1", "all"]


def test_five_probes_take_two_rows_of_panels(monkeypatch, tmp_path):
    probes = [make_probe(f"probe{i}", "class") for i in range(5)]
    results = {probe.name: RESULTS["speaker"] for probe in probes}
    panels = panels_of(monkeypatch, tmp_path, probes, results)
    assert [axis.axison for axis in panels] == [True] * 5 + [False] * 3


# --- the command ---


@pytest.fixture
def call(encoder, tmp_path, monkeypatch):
    """The function that runs the command on a small corpus, and returns the folder it wrote."""
    write_dump(tmp_path, splits=("train", "test"), num=3, tasks=("asr", "sound"))
    LoadedSsl(encoder, CODEC).save(tmp_path / "ssl" / MODEL)
    tasks = Path(__file__).parents[2] / "egs/TEMPLATE/conf/tasks.yaml"

    def run(*options: str) -> Path:
        line = f"probe --ssl {tmp_path / 'ssl'} --data {tmp_path / 'data'} --steps 2"
        line += f" --tasks_config {tasks} --out {tmp_path / 'out'}"
        monkeypatch.setattr(sys, "argv", [*line.split(), *options])
        command.main()
        return tmp_path / "out"

    return run


def test_the_command_probes_what_the_tasks_of_the_corpus_allow(call, capsys):
    out = call("--max_utts", "2")
    printed = capsys.readouterr().out
    ways = ["pre-trained", "random", "log-mel"]
    _, *rows = cells_of(printed)
    # Every utterance of the corpus has a speaker of its own.
    names = [(probe, way) for probe in ("content", "events") for way in ways]
    assert [(row[0], row[2]) for row in rows] == names
    assert printed in (out / "PROBES.md").read_text()
    content = json.loads((out / "probes.json").read_text())
    assert content["content"]["random"][0]["n"] == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--no_data"], "--no_data leaves nothing to probe without --list"),
    ],
)
def test_the_command_says_what_is_missing(call, capsys, options, message):
    with pytest.raises(SystemExit):
        call(*options)
    assert message in capsys.readouterr().err
