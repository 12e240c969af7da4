"""Probes of labelled files, with a real codec and with one that leaves waves as they are."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from aio_toolkit.analysis.probe import Probe
from aio_toolkit.analysis.probe_lists import probe_of_list, probes_of_lists, read_list
from aio_toolkit.codec.base import Codec, load_codec
from aio_toolkit.data.audio import write_wav
from aio_toolkit.dump.fingerprints import Provenance
from aio_toolkit.errors import AioError
from aio_toolkit.frontend.features import FrontEnd

RATE = 8000
CODEC = str(Path(__file__).parents[2] / "egs/mini_aio/codec")


def probe_of(path: Path) -> Probe:
    """A codec that keeps the wave as it is, a front end of one feature a sample."""
    codec = SimpleNamespace(sample_rate=RATE, encode=lambda wave_1S: wave_1S)

    def front_end(wave_1S: torch.Tensor, encoded_1S: torch.Tensor) -> torch.Tensor:
        return torch.stack([wave_1S, encoded_1S], -1)

    return probe_of_list(path, "animals", codec, front_end)


def write_list(folder: Path, lines: list[tuple[str, str, str]], rate: int = RATE) -> Path:
    """A list and its files, the first of level 1/8, the second of 2/8, ..."""
    for level, (name, _, _) in enumerate(lines, start=1):
        write_wav(folder / name, np.full(5, level / 8), rate, subtype="FLOAT")
    path = folder / "animals.tsv"
    path.write_text("".join("\t".join(line) + "\n" for line in lines))
    return path


ANIMALS = [
    ("b.wav", "dog", "train"),
    ("a.wav", "cat", "test"),
    ("c.wav", "ape", "train"),
]


# --- one list ---


def test_a_list_names_files_beside_it_their_labels_and_their_sides(tmp_path):
    probe = probe_of(write_list(tmp_path / "list", ANIMALS))
    assert (probe.name, probe.kind) == ("animals", "class")
    assert probe.classes == ["ape", "cat", "dog"]
    assert (probe.train.labels, probe.test.labels) == ([2, 0], [1])
    levels = [[feats_TF[0, 0] for feats_TF in side.feats] for side in (probe.train, probe.test)]
    assert levels == [[1 / 8, 3 / 8], [2 / 8]]


def test_files_and_labels_may_hold_spaces(tmp_path):
    lines = [("my dog.wav", "good dog", "train"), ("sub dir/cat.wav", "cat", "test")]
    probe = probe_of(write_list(tmp_path, lines))
    assert probe.classes == ["cat", "good dog"]


@pytest.mark.parametrize(
    "line", ["a.wav dog train", "a.wav\tdog", "a.wav\tdog\tdev", "a.wav\tdog\ttrain\tx", ""]
)
def test_a_malformed_line_is_named_with_its_number(tmp_path, line):
    path = tmp_path / "list.tsv"
    path.write_text(f"b.wav\tcat\ttest\n{line}\n")
    message = r"list.tsv line 2 is not 'file<TAB>label<TAB>train\|test'"
    with pytest.raises(AioError, match=message):
        read_list(path)


@pytest.mark.parametrize(
    ("text", "empty"),
    [("", "train and test"), ("a.wav\tdog\ttest\n", "train"), ("a.wav\tdog\ttrain\n", "test")],
)
def test_an_empty_side_is_named(tmp_path, text, empty):
    path = tmp_path / "list.tsv"
    path.write_text(text)
    with pytest.raises(AioError, match=f"list.tsv has no line of {empty}.$"):
        read_list(path)


def test_a_list_is_checked_before_its_files_are_read(tmp_path):
    path = tmp_path / "list.tsv"
    path.write_text("nowhere.wav\tdog\ttrain\n")
    with pytest.raises(AioError, match="has no line of test"):
        probe_of(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    path = write_list(tmp_path, ANIMALS)
    (tmp_path / "a.wav").unlink()
    with pytest.raises(AioError, match="a.wav"):
        probe_of(path)


# --- several lists, a real codec ---


@pytest.fixture(scope="module")
def codec() -> Codec:
    return load_codec(CODEC)


def provenance_of(codec: Codec, config: FrontEnd.Config) -> Provenance:
    return Provenance(codec.fingerprint, FrontEnd(config, codec).fingerprint)


def test_features_are_those_of_the_encoder_s_front_end(codec, tmp_path):
    """Nothing of the front end is as it is by default."""
    config = FrontEnd.Config(codec_latents=True, num_mels=7, window_ms=30.0, hop_ms=5.0)
    path = write_list(tmp_path, ANIMALS, codec.sample_rate)
    specs = [f"animals={path}", f"again={path}"]
    first, second = probes_of_lists(specs, CODEC, provenance_of(codec, config))
    assert (first.name, second.name) == ("animals", "again")

    wave_1S = torch.full((1, 5), 2 / 8)
    want_1TF = FrontEnd(config, codec)(wave_1S, codec.encode(wave_1S))
    np.testing.assert_array_equal(first.test.feats[0], want_1TF[0].numpy())


@pytest.mark.parametrize("spec", ["animals=nowhere.tsv", "animals.tsv"])
def test_a_list_that_is_not_there_is_named(codec, spec):
    provenance = provenance_of(codec, FrontEnd.Config())
    with pytest.raises(AioError, match=f"--list {spec}: there is no file.*NAME=FILE"):
        probes_of_lists([spec], CODEC, provenance)


def test_another_codec_than_the_encoder_s_is_refused(codec):
    provenance = provenance_of(codec, FrontEnd.Config())
    other = dataclasses.replace(codec.fingerprint, weights_sha256="0f")
    with pytest.raises(AioError, match="against the encoder: made for another one"):
        probes_of_lists([], CODEC, dataclasses.replace(provenance, codec=other))
