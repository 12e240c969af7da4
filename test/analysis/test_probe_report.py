"""The ways to look at features, and the table that puts their scores side by side."""

import json

import numpy as np
import pytest
import torch
from tiny import ENCODER

from aio_toolkit.analysis.probe import Labelled, Probe
from aio_toolkit.analysis.probe_report import (
    contestants,
    format_probes,
    run_probes,
    write_probes,
)
from aio_toolkit.models.checkpoint import Provenance
from aio_toolkit.models.ssl import SslEncoder, SslModel
from aio_toolkit.scoring.bootstrap import Figure

NUM_FEATURES, NUM_LATENTS = 12, 5


@pytest.fixture
def encoder() -> SslEncoder:
    torch.manual_seed(1)
    encoder = SslEncoder(ENCODER, NUM_FEATURES)
    encoder.mean_F.copy_(torch.linspace(-1, 2, NUM_FEATURES))
    encoder.std_F.copy_(torch.linspace(0.5, 3, NUM_FEATURES))
    return encoder


def make_extracts(encoder: SslEncoder, log_mel: bool = True, latents: bool = True) -> dict:
    frontend = {"log_mel": log_mel, "codec_latents": latents}
    provenance = Provenance({"latent_dim": NUM_LATENTS}, frontend)
    return contestants(encoder, SslModel.Config(encoder=ENCODER), provenance, seed=0)


def features(frames: int = 9) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((frames, NUM_FEATURES)).astype(np.float32)


def normalised(encoder: SslEncoder) -> torch.Tensor:
    return (torch.from_numpy(features()) - encoder.mean_F) / encoder.std_F


# --- the ways to look ---


def test_layers_are_the_input_then_each_state_then_all_of_them(encoder):
    layers = make_extracts(encoder)["pre-trained"](features())
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
    trained, random = (extracts[name](features()) for name in ("pre-trained", "random"))
    assert torch.equal(trained[0], random[0])
    for trained_TD, random_TD in zip(trained[1:], random[1:], strict=True):
        assert trained_TD.shape == random_TD.shape
        assert (trained_TD - random_TD).abs().max() > 0.1


@pytest.mark.parametrize(("latents", "num_mels"), [(True, NUM_FEATURES - NUM_LATENTS), (False, 12)])
def test_log_mel_is_what_stands_before_the_latents_of_the_input(encoder, latents, num_mels):
    (layer_TF,) = make_extracts(encoder, latents=latents)["log-mel"](features())
    torch.testing.assert_close(layer_TF, normalised(encoder)[:, :num_mels])


def test_without_log_mel_in_the_input_there_is_no_such_row(encoder):
    assert list(make_extracts(encoder, log_mel=False)) == ["pre-trained", "random"]


def test_nothing_that_is_looked_at_has_a_gradient_or_dropout(encoder):
    extract = make_extracts(encoder.train())["pre-trained"]
    first, second = extract(features()), extract(features())
    assert not any(layer_TD.requires_grad for layer_TD in first)
    assert all(map(torch.equal, first, second))


# --- the table ---


def make_probe(name: str, kind: str) -> Probe:
    side = Labelled([features(9), features(7), features(8)], [0, 1, 0])
    return Probe(name, kind, ["a", "b"], side, side)


def figures_of(*values: float) -> list[Figure]:
    return [Figure(value, value - 1.5, value + 2, 9) for value in values]


PROBES = [make_probe("speaker", "class"), make_probe("content", "text")]
RESULTS = {
    "speaker": {"pre-trained": figures_of(10, 20, 30), "log-mel": figures_of(5)},
    "content": {"pre-trained": figures_of(61, 51, 41), "log-mel": figures_of(71.25)},
}


def test_the_table_has_a_row_for_every_way_to_look_and_a_column_for_every_layer():
    lines = [line.strip("|").split("|") for line in format_probes(PROBES, RESULTS).splitlines()]
    header, _, *rows = [[cell.strip() for cell in line] for line in lines]
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


def test_table_figures_and_plot_are_written(tmp_path):
    table = write_probes(PROBES, RESULTS, tmp_path)
    assert table in (tmp_path / "PROBES.md").read_text()
    assert (tmp_path / "probes.png").read_bytes()[:4] == b"\x89PNG"
    content = json.loads((tmp_path / "probes.json").read_text())
    assert content["speaker"]["log-mel"] == [{"value": 5, "lo": 3.5, "hi": 7, "n": 9}]
    assert [figure["value"] for figure in content["content"]["pre-trained"]] == [61, 51, 41]


def test_every_probe_is_asked_of_every_way_to_look():
    def whole(feats_TF):
        return [torch.from_numpy(feats_TF)]

    def halves(feats_TF):
        return list(torch.from_numpy(feats_TF).chunk(2, -1))

    probes = [make_probe("one", "class"), make_probe("two", "class")]
    results = run_probes(probes, {"whole": whole, "halves": halves}, steps=2)
    lengths = {
        (probe, name): len(figures)
        for probe, by_name in results.items()
        for name, figures in by_name.items()
    }
    want = {("one", "whole"): 1, ("one", "halves"): 2, ("two", "whole"): 1, ("two", "halves"): 2}
    assert lengths == want
