"""Zips of packed folders, read with suspicion: everything is checked before a byte is written."""

import shutil
import stat
import zipfile
from pathlib import Path

from aio_toolkit.errors import AioError
from aio_toolkit.plain_yaml import leads_out

# Weights hardly shrink and text tenfold: what grows beyond this is made to fill a disk.
MOST_GROWTH = 100
# So small that its growth does not matter.
SMALL_BYTES = 1 << 20
MOST_FILES = 1000
# Bits of a member's attributes that hold the mode of a Unix file.
MODE_SHIFT = 16
ENCRYPTED = 1


def extract_zip(path: Path, folder: Path) -> Path:
    """Write the files of a zip below a folder.

    Args:
        path: the zip.
        folder: an empty folder.

    Returns:
        The folder that holds the pack: `folder`, or the only one in it.

    Raises:
        AioError: it is no zip, it is damaged, a file of it would be elsewhere or is none, or it
            would be far larger than it is, or than the disk has room for.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            _check_sizes(path, members, shutil.disk_usage(folder).free)
            for member in members:
                _check_member(path, member)
            for member in members:
                _extract(archive, member, folder)
    # What zipfile and zlib raise for damaged files, and for what they do not support.
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise AioError(f"{path} is no whole zip file ({error}). Get it again.") from None
    inside = [*folder.iterdir()]
    if len(inside) == 1 and inside[0].is_dir():
        return inside[0]
    return folder


def _check_sizes(path: Path, members: list[zipfile.ZipInfo], free: int) -> None:
    total = sum(member.file_size for member in members)
    packed = path.stat().st_size
    if len(members) > MOST_FILES:
        raise AioError(f"{path} holds {len(members)} files, which no pack does. Do not use it.")
    if total > max(SMALL_BYTES, MOST_GROWTH * packed):
        problem = f"would grow from {packed} to {total} bytes, which no pack does"
        raise AioError(f"{path} {problem}. Do not use it.")
    if total > free:
        remedy = "Free some space, or set TMPDIR to a folder elsewhere"
        raise AioError(f"{path} needs {total} bytes of temporary space. {remedy}.")


def _check_member(path: Path, member: zipfile.ZipInfo) -> None:
    mode = member.external_attr >> MODE_SHIFT
    problem = ""
    if leads_out(member.filename) or "\\" in member.filename:
        problem = "would be written outside its folder"
    elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        problem = "is a link or a device, not a file"
    elif member.flag_bits & ENCRYPTED:
        problem = "needs a password"
    if problem:
        raise AioError(f"{path}: '{member.filename}' {problem}. Do not use this pack.")


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    """Write one file, of the size that it says at most."""
    target = folder / member.filename
    target.parent.mkdir(parents=True, exist_ok=True)
    # Exclusively: of two members of one name the second would take the place of the first. What
    # is longer than it says is cut by zipfile and fails its checksum.
    try:
        with archive.open(member) as source, target.open("xb") as out:
            shutil.copyfileobj(source, out)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise zipfile.BadZipFile(f"'{member.filename}' is there twice") from None
