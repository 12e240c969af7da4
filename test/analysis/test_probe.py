"""Linear probes find what is there, do not find what is not, and make their table and plot."""

import numpy as np
import pytest
import torch
from tiny import ENCODER

from aio_toolkit.analysis.probe import Labelled, Probe, run_probe
from aio_toolkit.analysis.probe_data import active_frames, probe_of_list
from aio_toolkit.analysis.probe_report import contestants, run_probes, write_probes
from aio_toolkit.errors import AioError
from aio_toolkit.models.checkpoint import Provenance
from aio_toolkit.models.ssl import SslEncoder, SslModel

RNG = np.random.default_rng(0)
F = 12


def as_they_are(feats_TF):
    return [torch.from_numpy(feats_TF)]


def noise(T: int) -> np.ndarray:
    return RNG.standard_normal((T, F)).astype(np.float32)


def classes(count: int, told: bool) -> Labelled:
    """Three classes, each louder in a channel of its own, or not."""
    labels = [index % 3 for index in range(count)]
    feats = [noise(int(RNG.integers(20, 40))) for _ in labels]
    for feats_TF, label in zip(feats, labels, strict=True):
        feats_TF[:, label] *= 4.0 if told else 1.0
    return Labelled(feats, labels)


@pytest.mark.parametrize(("told", "least", "most"), [(True, 95, 100), (False, 15, 55)])
def test_classes_are_found_where_features_tell_them(told, least, most):
    probe = Probe("class", "class", ["a", "b", "c"], classes(60, told), classes(60, told))
    (figure,) = run_probe(probe, as_they_are)
    assert least <= figure.value <= most
    assert figure.lo <= figure.value <= figure.hi and figure.n == 60


def test_tags_and_frames_are_found():
    def tagged(count):
        labels = [(RNG.random(4) < 0.5).astype(np.int64) for _ in range(count)]
        for label in labels:
            label[RNG.integers(4)] = 1
        feats = [noise(30) + 2 * np.pad(label, (0, F - 4)).astype(np.float32) for label in labels]
        return Labelled(feats, labels)

    (figure,) = run_probe(Probe("tags", "tags", list("abcd"), tagged(80), tagged(40)), as_they_are)
    assert figure.value > 97

    def framed(count):
        feats = [noise(30) for _ in range(count)]
        return Labelled(feats, [(feats_TF[:, :2] > 0).astype(np.int64) for feats_TF in feats])

    (figure,) = run_probe(Probe("frames", "frames", ["a", "b"], framed(60), framed(20)), as_they_are)
    assert figure.value > 90


def test_text_is_read_where_every_character_has_its_channel():
    def spoken(count):
        labels = [RNG.integers(0, 4, 6).tolist() for _ in range(count)]
        feats = []
        for label in labels:
            one_hot = np.zeros((6, 5, F), np.float32)
            for position, character in enumerate(label):
                one_hot[position, :3, character] = 3.0  # three frames of the character, two of silence
            feats.append(one_hot.reshape(30, F) + 0.1 * noise(30))
        return Labelled(feats, labels)

    (figure,) = run_probe(Probe("text", "text", list("ab d"), spoken(60), spoken(20)), as_they_are)
    assert figure.value < 5


def test_a_source_is_active_where_it_is_heard():
    wave = np.concatenate([np.zeros(100), np.ones(150), 1e-3 * np.ones(50)])
    assert active_frames(wave, 100, 4).tolist() == [False, True, True, False]
    assert not active_frames(np.zeros(300), 100, 3).any()


def test_table_and_plot_have_a_row_for_every_way_to_look(tmp_path):
    encoder = SslEncoder(ENCODER, F)
    provenance = Provenance({"latent_dim": 5}, {"log_mel": True, "codec_latents": True})
    extracts = contestants(encoder, SslModel.Config(encoder=ENCODER), provenance, seed=0)
    assert [x.shape[1] for x in extracts["pre-trained"](noise(9))] == [F, 16, 16, F + 32]
    assert [x.shape[1] for x in extracts["log-mel"](noise(9))] == [F - 5]
    # The twin has the same input and other layers.
    feats_TF = noise(9)
    trained, random = extracts["pre-trained"](feats_TF), extracts["random"](feats_TF)
    assert torch.equal(trained[0], random[0])
    assert (trained[1] - random[1]).abs().max() > 0.1
    probes = [Probe("voices", "class", ["a", "b", "c"], classes(12, True), classes(9, True))]
    table = write_probes(probes, run_probes(probes, extracts, steps=5), tmp_path)
    assert [line.split("|")[3].strip() for line in table.splitlines()[2:]] == ["pre-trained", "random", "log-mel"]
    assert (tmp_path / "PROBES.md").is_file()
    assert (tmp_path / "probes.png").read_bytes()[:4] == b"\x89PNG"


def test_malformed_lists_are_named(tmp_path):
    path = tmp_path / "list.tsv"
    path.write_text("a.wav dog train\n")
    with pytest.raises(AioError, match="list.tsv line 1 is not 'file<TAB>label<TAB>train|test'"):
        probe_of_list(path, "x", None, None)
    path.write_text("")
    with pytest.raises(AioError, match="list.tsv has no line of train and test"):
        probe_of_list(path, "x", None, None)
