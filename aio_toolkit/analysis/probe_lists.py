"""Probes made of labelled files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from aio_toolkit.analysis.probe import Labelled, Probe
from aio_toolkit.codec.base import Codec, check_same, load_codec
from aio_toolkit.data.audio import read_audio
from aio_toolkit.dump.fingerprints import Provenance
from aio_toolkit.errors import AioError
from aio_toolkit.frontend.features import FrontEnd


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
    check_same(provenance.codec, codec.fingerprint, f"codec {codec_path} against the encoder")
    front_end = FrontEnd(FrontEnd.Config.of_fingerprint(provenance.front_end), codec)
    probes = []
    for spec in specs:
        name, _, path = spec.partition("=")
        if not Path(path).is_file():
            raise AioError(f"--list {spec}: there is no file '{path}'. Write it as NAME=FILE.")
        probes.append(probe_of_list(Path(path), name, codec, front_end))
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
        AioError: a line is malformed, or a side is empty.
    """
    sides: dict[str, list[tuple[np.ndarray, str]]] = {"train": [], "test": []}
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        fields = line.split("\t")
        if len(fields) != 3 or fields[2] not in sides:
            raise AioError(
                f"{path} line {number} is not 'file<TAB>label<TAB>train|test': {line!r}."
            )
        file, label, side = fields
        wave_S = read_audio(str(path.parent / file), codec.sample_rate, file)
        wave_1S = torch.from_numpy(wave_S)[None]
        feats_1TF = front_end(wave_1S, codec.encode(wave_1S))
        sides[side].append((feats_1TF[0].numpy(), label))

    empty = [side for side, rows in sides.items() if not rows]
    if empty:
        raise AioError(f"{path} has no line of {' and '.join(empty)}.")
    classes = sorted({label for rows in sides.values() for _, label in rows})
    labelled = [
        Labelled([feats for feats, _ in rows], [classes.index(label) for _, label in rows])
        for rows in sides.values()
    ]
    return Probe(name, "class", classes, *labelled)
