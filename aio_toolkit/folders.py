"""Folders that one run at a time writes into, and that remember what they were made from."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
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
    _remove_leftovers(folder)
    if folder.is_dir() and any(folder.iterdir()) and not path.exists():
        raise AioError(
            f"{folder} has files but no {STAMP}, so this program did not make it. Move it away."
        )
    if path.exists() and _read(path) != stamp:
        print(f"{folder}: other settings or programs than before, making it again")
        clear(folder)
    write_json(path, stamp)


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Write into a folder, made if it does not exist, while no other run does.

    What killed processes were writing there is removed. Of the ranks of one run the first alone
    asks; file systems without locks let everybody in.

    Raises:
        AioError: another run is at work there.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as parent, alone_in(Path(parent, "exp")):
    ...     with alone_in(Path(parent, "exp")):
    ...         pass
    Traceback (most recent call last):
    aio_toolkit.errors.AioError: another run is writing into ...exp. Wait for its end, or stop it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(handle, folder)
        _remove_leftovers(folder)
        yield
    finally:
        os.close(handle)


def _read(path: Path) -> Any:
    """The stamp of a folder; None where it is damaged, which fits nothing."""
    try:
        return read_json(path)
    except AioError:
        return None


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        remedy = "Wait for its end, or stop it"
        raise AioError(f"another run is writing into {folder}. {remedy}.") from None
    except OSError:
        # A file system without locks.
        return


def _remove_leftovers(folder: Path) -> None:
    # All at once: what is in a folder that goes is not looked for.
    for leftover in list(folder.rglob(f"{TEMPORARY_PREFIX}*")):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)
