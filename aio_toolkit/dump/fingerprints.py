"""Fingerprints of what a dump was made with; they stand beside its codes and features."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aio_toolkit.codec.base import CodecFingerprint, check_same
from aio_toolkit.config import from_values
from aio_toolkit.files import read_json, write_json
from aio_toolkit.frontend.features import FrontEndFingerprint

CODEC_FILE, FRONT_END_FILE, TOKENIZE_FILE = "codec.json", "frontend.json", "tokenize.json"


@dataclass(frozen=True)
class Provenance:
    """What the codes and features of a dump mean, and so the input and output of a model.

    Attributes:
        codec: the codec whose codes they are.
        front_end: the front end whose features they are.
    """

    codec: CodecFingerprint
    front_end: FrontEndFingerprint

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Provenance":
        """What `dataclasses.asdict` was given.

        >>> codec = CodecFingerprint("tiny", "0", 16000, 320, 2, 16, 8)
        >>> front_end = FrontEndFingerprint(True, False, 80, 25.0, 10.0, 320)
        >>> made = Provenance(codec, front_end)
        >>> Provenance.from_dict(dataclasses.asdict(made)) == made
        True
        """
        return cls(
            from_values(CodecFingerprint, values["codec"], "fingerprint of the codec"),
            from_values(FrontEndFingerprint, values["front_end"], "fingerprint of the front end"),
        )


@dataclass(frozen=True)
class TokenizeFingerprint:
    """How codes were computed.

    Attributes:
        precision: `float32`, or `bfloat16`, in which a few codes differ.
    """

    precision: str


def claim_dump(dump_split: Path, provenance: Provenance, precision: str) -> None:
    """Keep fingerprints in the dump of a split, or check those that are there.

    Args:
        dump_split: folder of the split.
        provenance: codec and front end.
        precision: `float32` or `bfloat16`.

    Raises:
        AioError: the folder holds what was made with others.
    """
    fingerprints: dict[str, Any] = {
        CODEC_FILE: provenance.codec,
        FRONT_END_FILE: provenance.front_end,
        TOKENIZE_FILE: TokenizeFingerprint(precision),
    }
    for name, fingerprint in fingerprints.items():
        path = dump_split / name
        if path.is_file():
            found = _read(path, type(fingerprint))
            check_same(fingerprint, found, f"{path} is there already")
        else:
            write_json(path, dataclasses.asdict(fingerprint))


def read_fingerprints(dump_split: Path) -> Provenance:
    """The fingerprints of the dump of a split.

    Raises:
        AioError: stage 2 has not run, or a file is damaged.

    >>> import tempfile
    >>> codec = CodecFingerprint("tiny", "0", 16000, 320, 2, 16, 8)
    >>> front_end = FrontEndFingerprint(True, False, 80, 25.0, 10.0, 320)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     claim_dump(Path(folder), Provenance(codec, front_end), "float32")
    ...     read_fingerprints(Path(folder)).codec.frame_rate
    50.0
    """
    codec = _read(dump_split / CODEC_FILE, CodecFingerprint)
    front_end = _read(dump_split / FRONT_END_FILE, FrontEndFingerprint)
    return Provenance(codec, front_end)


def _read[T](path: Path, schema: type[T]) -> T:
    return from_values(schema, read_json(path), str(path))
