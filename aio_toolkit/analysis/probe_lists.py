"""Probes made of labelled files. Letters: B batch (of one), S samples, T frames, F feature bins."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from aio_toolkit.analysis.probe import Labelled, Probe
from aio_toolkit.codec.base import Codec, check_same, load_codec
from aio_toolkit.data.audio import read_audio
from aio_toolkit.dump.fingerprints import Provenance
from aio_toolkit.errors import AioError
from aio_toolkit.frontend.features import FrontEnd, FrontEndFingerprint

SIDES = ("train", "test")


def probes_of_lists(specs: Sequence[str], codec_path: str, provenance: Provenance) -> list[Probe]:
    """A probe of each `name=file`.

    Args:
        specs: what is asked for, and the list of labelled files.
        codec_path: the encoder's codec.
        provenance: the codec and front end that the encoder was trained with.

    Raises:
        AioError: the codec is not the encoder's, or a list is missing or malformed.
    """
    codec = load_codec(codec_path)
    against = f"codec {codec_path} against the encoder"
    check_same(provenance.codec, codec.fingerprint, against)
    front_end = _front_end_of(provenance.front_end, codec)
    probes = []
    for spec in specs:
        name, _, path = spec.partition("=")
        if not Path(path).is_file():
            problem = f"--list {spec}: there is no file '{path}'"
            raise AioError(f"{problem}. Write it as NAME=FILE.")
        probe = probe_of_list(Path(path), name, codec, front_end)
        probes.append(probe)
    return probes


def probe_of_list(path: Path, name: str, codec: Codec, front_end: FrontEnd) -> Probe:
    """A `class` probe of labelled files.

    Args:
        path: lines of `file<TAB>label<TAB>train` or `... test`; files are relative to the list's
            folder.
        name: what the labels say.
        codec: the codec of the encoder's front end.
        front_end: that front end.

    Raises:
        AioError: a line is malformed, a side is empty, or a file cannot be read.
    """
    entries = read_list(path)
    classes = sorted({entry.label for entry in entries})
    sides = {side: Labelled([], []) for side in SIDES}
    for entry in entries:
        # Relative to the list, so that it can move about together with its files.
        recording = str(path.parent / entry.file)
        wave_S = read_audio(recording, codec.sample_rate, entry.file)
        feats_TF = _features(wave_S, codec, front_end)
        label = classes.index(entry.label)
        side = sides[entry.side]
        side.feats.append(feats_TF)
        side.labels.append(label)
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


def _front_end_of(fingerprint: FrontEndFingerprint, codec: Codec) -> FrontEnd:
    """The front end that a fingerprint was taken of."""
    options = {}
    for option in dataclasses.fields(FrontEnd.Config):
        # All options are part of the fingerprint, under the same names.
        options[option.name] = getattr(fingerprint, option.name)
    config = FrontEnd.Config(**options)
    return FrontEnd(config, codec)


def _features(wave_S: np.ndarray, codec: Codec, front_end: FrontEnd) -> np.ndarray:
    """Features (T, F) as stage 2 makes them."""
    wave_BS = torch.from_numpy(wave_S)[None]
    encoded = codec.encode(wave_BS)
    feats_BTF = front_end(wave_BS, encoded)
    return feats_BTF[0].numpy()
