"""Probes of labelled files."""

from pathlib import Path

import numpy as np
import pytest

from aio_toolkit.analysis.probe import Probe
from aio_toolkit.analysis.probe_lists import probe_of_list, probes_of_lists, read_list
from aio_toolkit.data.wav_writer import write_wav
from aio_toolkit.errors import AioError

RATE = 8000


def probe_of(path: Path) -> Probe:
    return probe_of_list(path, "animals", RATE)


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
    levels = [[wave_S[0] for wave_S in side.waves] for side in (probe.train, probe.test)]
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


# --- several lists ---


def test_every_list_is_a_probe_of_its_name_at_the_rate_that_is_asked_for(tmp_path):
    path = write_list(tmp_path, ANIMALS)
    first, second = probes_of_lists([f"animals={path}", f"again={path}"], 2 * RATE)
    assert (first.name, second.name) == ("animals", "again")
    assert len(first.test.waves[0]) == 10


@pytest.mark.parametrize("spec", ["animals=nowhere.tsv", "animals.tsv"])
def test_a_list_that_is_not_there_is_named(spec):
    with pytest.raises(AioError, match=f"--list {spec}: there is no file.*NAME=FILE"):
        probes_of_lists([spec], RATE)
