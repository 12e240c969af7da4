"""Writing files so that a killed process never leaves one that looks finished."""

import contextlib
import hashlib
import json
import os
import tempfile
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aio_toolkit.errors import AioError

TEMPORARY_PREFIX = ".tmp-"
# Letters of a name, to which suffixes may be added; systems allow 255 bytes.
_LONGEST_NAME, _KEPT_OF_LONG = 150, 130


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and rename it when the block ends without an error.

    Folders that are missing are made.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_path(f"{folder}/new/a.txt") as temporary:
    ...         _ = temporary.write_text("hello")
    ...     os.listdir(f"{folder}/new")
    ['a.txt']
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Beside `path`, as a rename across file systems would be a copy.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=TEMPORARY_PREFIX, suffix=path.suffix)
    os.close(handle)
    try:
        yield Path(name)
        os.chmod(name, mode_of_new(0o666))
        os.replace(name, path)
    except OSError as error:
        # Of a full disk the system does not say which file it is.
        error.filename = error.filename or str(path)
        raise
    finally:
        Path(name).unlink(missing_ok=True)


def file_name(id: str) -> str:
    """A name for what is kept of an id: no two have the same, and none leads out of its folder.

    Plain ids are their own names. Of others, signs are written as in a URL, and all but the
    beginning of a long one is a digest.

    >>> file_name("asr-0001"), file_name("../ann/é 1"), len(file_name("a" * 1000))
    ('asr-0001', '%2E.%2Fann%2F%C3%A9%201', 147)
    """
    name = urllib.parse.quote(id.encode(errors="surrogatepass"), safe="+,=@")
    if name.startswith("."):
        name = f"%2E{name[1:]}"
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(id.encode()).hexdigest()
    return f"{name[:_KEPT_OF_LONG]}-{digest[:16]}"


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path | str) -> Any:
    """Read a JSON file.

    Raises:
        AioError: it is missing or damaged.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_json(f"{folder}/a.json", {"rate": 16000})
    ...     read_json(f"{folder}/a.json")
    {'rate': 16000}
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AioError(f"{path} does not exist. Run the stage that makes it first.") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        remedy = "Delete it and run its stage again."
        raise AioError(f"{path} is not valid JSON ({error}). {remedy}") from None


def sha256_file(path: Path | str) -> str:
    """Hexadecimal SHA-256 of a file's bytes.

    >>> sha256_file(os.devnull)[:16]
    'e3b0c44298fc1c14'
    """
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def mode_of_new(asked: int) -> int:
    """What the user's mask leaves of a mode; mkstemp, mkdtemp and some writers make private files.

    >>> mode_of_new(0o666) & 0o600 == 0o600
    True
    """
    # The system tells the mask only by setting it.
    umask = os.umask(0)
    os.umask(umask)
    return asked & ~umask
