"""What is in a packed folder, file by file: one that was changed, lost or exchanged is named."""

import stat
import sys
from pathlib import Path

from aio_toolkit.errors import AioError
from aio_toolkit.files import read_json, sha256_file, write_json
from aio_toolkit.plain_yaml import leads_out

MODEL_YAML, WEIGHTS = "model.yaml", "model.safetensors"
CHECKSUMS, CARD = "checksums.json", "README.md"
UNITS, CODEC = "units", "codec"


def write_checksums(folder: Path) -> None:
    """Write down what the files of a folder are; last of all, it says that all of it is there."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    sums = {path.relative_to(folder).as_posix(): sha256_file(path) for path in files}
    write_json(folder / CHECKSUMS, sums)


def verify(folder: Path, root: Path) -> dict[str, str]:
    """Check that the files of a folder are those that were packed, and ordinary ones.

    The card is no part of the model, and people edit it where it is published: that is said, not
    refused.

    Args:
        folder: a packed folder.
        root: the folder that links may lead to, so that nothing else is read.

    Returns:
        The hash of each file by its name.

    Raises:
        AioError: a file is missing, changed, not listed, or none.
    """
    sums = read_checksums(folder)
    for name, expected in sums.items():
        path = folder / name
        _check_ordinary(path, root)
        if sha256_file(path) == expected:
            continue
        if name != CARD:
            remedy = "Get the pack again, or pack the model again."
            raise AioError(f"{path} has changed since it was packed. {remedy}")
        print(f"{path} was edited after packing; the model is as it was packed", file=sys.stderr)
    for name in _read_files(folder):
        if name not in sums:
            raise AioError(f"{folder / name} is not among {CHECKSUMS}. Remove it.")
    return sums


def read_checksums(folder: Path) -> dict[str, str]:
    """The hash of each file of a packed folder by its name; AioError where that is no such list."""
    path = folder / CHECKSUMS
    if not path.is_file():
        raise AioError(f"{path} does not exist: the pack is not whole. Get it again.")
    sums = read_json(path)
    if not isinstance(sums, dict) or not all(isinstance(value, str) for value in sums.values()):
        raise AioError(f"{path} is no list of files and their hashes. Get the pack again.")
    for name in sums:
        if not name or leads_out(name):
            raise AioError(f"{path}: '{name}' is a path out of the folder. Do not use this pack.")
    return sums


def _read_files(folder: Path) -> list[str]:
    """The files that make the model; others may lie beside them, which nobody opens."""
    inside = [*(folder / UNITS).rglob("*"), *(folder / CODEC).rglob("*")]
    files = [path for path in inside if path.is_symlink() or not path.is_dir()]
    links = [path for path in (folder / UNITS, folder / CODEC) if path.is_symlink()]
    names = [path.relative_to(folder).as_posix() for path in (*files, *links)]
    return [MODEL_YAML, WEIGHTS, *names]


def _check_ordinary(path: Path, root: Path) -> None:
    """A file there is, and no pipe, device, or link to elsewhere."""
    try:
        real = path.resolve(strict=True)
        is_file = stat.S_ISREG(real.stat().st_mode)
    except (OSError, ValueError):
        raise AioError(f"{path} is missing. Get the pack again.") from None
    if not real.is_relative_to(root.resolve()):
        raise AioError(f"{path} is a link out of the pack. Put the file itself there.")
    if not is_file:
        raise AioError(f"{path} is not a file. Get the pack again.")
