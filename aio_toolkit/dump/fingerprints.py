"""The codec of a dump, and in which precision it ran; they stand beside its codes."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from aio_toolkit.codec.base import NEW_FOLDERS, CodecFingerprint, check_same
from aio_toolkit.config import from_values
from aio_toolkit.errors import AioError
from aio_toolkit.files import read_json, write_json

CODEC_FILE, TOKENIZE_FILE = "codec.json", "tokenize.json"


@dataclass(frozen=True)
class TokenizeFingerprint:
    """How codes were computed.

    Attributes:
        precision: `float32`, or `bfloat16`, in which a few codes differ.
    """

    precision: str


def claim_dump(dump_split: Path, codec: CodecFingerprint, precision: str) -> None:
    """Keep fingerprints in the dump of a split, or check those that are there.

    Args:
        dump_split: folder of the split.
        codec: the codec.
        precision: `float32` or `bfloat16`.

    Raises:
        AioError: the folder holds what was made with others.
    """
    fingerprints = {CODEC_FILE: codec, TOKENIZE_FILE: TokenizeFingerprint(precision)}
    for name, fingerprint in fingerprints.items():
        path = dump_split / name
        if path.is_file():
            found = _read(path, type(fingerprint))
            remedy = f"Delete {dump_split} to code the data anew, or {NEW_FOLDERS}"
            check_same(fingerprint, found, f"{path} is there already", remedy)
        else:
            write_json(path, dataclasses.asdict(fingerprint))  # type: ignore[call-overload]


def read_codec(dump_split: Path) -> CodecFingerprint:
    """The codec of the dump of a split.

    Raises:
        AioError: stage 2 has not run, or the file is damaged.

    >>> import tempfile
    >>> codec = CodecFingerprint("tiny", "0", 16000, 320, 2, 16, 8)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     claim_dump(Path(folder), codec, "float32")
    ...     read_codec(Path(folder)) == codec
    True
    """
    path = dump_split / CODEC_FILE
    if not path.is_file():
        raise AioError(f"{path} does not exist. Run stage 2 (encode_data) first.")
    return _read(path, CodecFingerprint)


def _read[T](path: Path, schema: type[T]) -> T:
    return from_values(schema, read_json(path), str(path))
