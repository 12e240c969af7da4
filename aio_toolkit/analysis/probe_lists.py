"""Probes made of labelled files. Letters: S samples."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from aio_toolkit.analysis.probe import Labelled, Probe
from aio_toolkit.data.audio import read_audio
from aio_toolkit.errors import AioError

SIDES = ("train", "test")


def probes_of_lists(specs: Sequence[str], sample_rate: int) -> list[Probe]:
    """A probe of each `name=file`.

    Args:
        specs: what is asked for, and the list of labelled files.
        sample_rate: Hz of the encoder.

    Raises:
        AioError: a list is missing or malformed.
    """
    probes = []
    for spec in specs:
        name, _, path = spec.partition("=")
        if not Path(path).is_file():
            problem = f"--list {spec}: there is no file '{path}'"
            raise AioError(f"{problem}. Write it as NAME=FILE.")
        probe = probe_of_list(Path(path), name, sample_rate)
        probes.append(probe)
    return probes


def probe_of_list(path: Path, name: str, sample_rate: int) -> Probe:
    """A `class` probe of labelled files.

    Args:
        path: lines of `file<TAB>label<TAB>train` or `... test`; files are relative to the list's
            folder.
        name: what the labels say.
        sample_rate: Hz of the encoder.

    Raises:
        AioError: a line is malformed, a side is empty, or a file cannot be read.
    """
    entries = read_list(path)
    classes = sorted({entry.label for entry in entries})
    sides = {side: Labelled([], []) for side in SIDES}
    for entry in entries:
        # Relative to the list, so that it can move about together with its files.
        recording = str(path.parent / entry.file)
        wave_S = read_audio(recording, sample_rate, entry.file)
        side = sides[entry.side]
        side.waves.append(wave_S)
        side.labels.append(classes.index(entry.label))
    return Probe(name, "class", classes, **sides)


@dataclasses.dataclass(frozen=True)
class Entry:
    """A line of a list.

    Attributes:
        file: a recording, relative to the list's folder.
        label: what it is.
        side: `train` or `test`.
    """

    file: str
    label: str
    side: str


def read_list(path: Path) -> list[Entry]:
    """The lines of a list of labelled files.

    Raises:
        AioError: a line is malformed, or a side is empty.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w+") as file:
    ...     _ = file.write("rex.wav\\tdog\\ttrain\\ntom.wav\\tcat\\ttest\\n")
    ...     _ = file.seek(0)
    ...     read_list(Path(file.name))[1]
    Entry(file='tom.wav', label='cat', side='test')
    """
    entries = []
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        # Tabs, as files and labels may hold spaces.
        fields = line.split("\t")
        if len(fields) != 3 or fields[2] not in SIDES:
            expected = "file<TAB>label<TAB>train|test"
            problem = f"{path} line {number} is not '{expected}'"
            raise AioError(f"{problem}: {line!r}.")
        entries.append(Entry(*fields))

    present = {entry.side for entry in entries}
    empty = [side for side in SIDES if side not in present]
    if empty:
        missing = " and ".join(empty)
        raise AioError(f"{path} has no line of {missing}.")
    return entries
