"""The sdist and the wheel of this checkout, made as `python -m build` makes them."""

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# What `python -m build` asks of setuptools, without fetching setuptools first.
HOOK = (
    "import sys; from setuptools import build_meta; getattr(build_meta, sys.argv[1])(sys.argv[2])"
)
TOP = ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "CHANGELOG.md", "LICENSE")


def build_sdist(folder: Path) -> Path:
    """The sdist of a copy of this checkout, unpacked in a folder that is empty."""
    checkout = folder / "checkout"
    for name in ("aio_toolkit", "tools", "test"):
        ignored = shutil.ignore_patterns("venv*", "__pycache__")
        shutil.copytree(ROOT / name, checkout / name, ignore=ignored)
    for name in TOP:
        shutil.copy(ROOT / name, checkout)
    with tarfile.open(_build("sdist", checkout, folder / "out")) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return unpacked


def build_wheel(sdist: Path, folder: Path) -> Path:
    """The wheel out of an sdist and nothing else."""
    return _build("wheel", sdist, folder)


def _build(what: str, source: Path, out: Path) -> Path:
    """The only file that a hook of setuptools has made of a source tree."""
    out.mkdir(exist_ok=True)
    command = [sys.executable, "-c", HOOK, f"build_{what}", str(out)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (made,) = out.iterdir()
    return made
