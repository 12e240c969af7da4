"""Folders that remember what they were made from."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aio_toolkit.errors import AioError
from aio_toolkit.files import TEMPORARY_PREFIX, read_json, write_json

STAMP = "stamp.json"


def claim(
    folder: Path,
    stamp: Any,
    clear: Callable[[Path], None] = shutil.rmtree,
) -> None:
    """Take a folder for contents that depend on `stamp`, and on nothing else.

    What was made with the same stamp stays; what was made with another one is removed.

    Args:
        folder: made if it does not exist.
        stamp: plain values, kept in `stamp.json`.
        clear: removes what was made with another stamp; everything, unless told otherwise.

    Raises:
        AioError: the folder holds files but no stamp, so that they are someone else's.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     folder = Path(parent, "corpus")
    ...     claim(folder, {"seed": 0})
    ...     (folder / "a.wav").touch()
    ...     claim(folder, {"seed": 0})
    ...     sorted(path.name for path in folder.iterdir())
    ['a.wav', 'stamp.json']
    """
    path = folder / STAMP
    # What a killed process was writing.
    for leftover in folder.rglob(f"{TEMPORARY_PREFIX}*"):
        leftover.unlink()
    if folder.is_dir() and any(folder.iterdir()) and not path.exists():
        raise AioError(
            f"{folder} has files but no {STAMP}, so this program did not make it. Move it away."
        )
    if path.exists() and read_json(path) != stamp:
        print(f"{folder}: other settings or programs than before, making it again")
        clear(folder)
    write_json(path, stamp)
