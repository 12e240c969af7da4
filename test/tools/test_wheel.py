"""What `python -m build` makes: an sdist, and out of it a wheel with everything that runs."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from requirement_lists import lines

from aio_toolkit.extras import EXTRAS

ROOT = Path(__file__).resolve().parents[2]
# What `python -m build` asks of setuptools, without fetching setuptools first.
HOOK = (
    "import sys; from setuptools import build_meta; getattr(build_meta, sys.argv[1])(sys.argv[2])"
)
TOP = ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "CHANGELOG.md", "LICENSE")


def build(what: str, source: Path, out: Path) -> Path:
    """The only file that a hook of setuptools has made of a source tree."""
    command = [sys.executable, "-c", HOOK, f"build_{what}", str(out)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (made,) = out.iterdir()
    return made


@pytest.fixture(scope="module")
def sdist(tmp_path_factory) -> Path:
    """The sdist of this checkout, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    checkout = folder / "checkout"
    for name in ("aio_toolkit", "tools", "test"):
        ignored = shutil.ignore_patterns("venv*", "__pycache__")
        shutil.copytree(ROOT / name, checkout / name, ignore=ignored)
    for name in TOP:
        shutil.copy(ROOT / name, checkout)
    (folder / "out").mkdir()
    with tarfile.open(build("sdist", checkout, folder / "out")) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return unpacked


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory) -> Path:
    """The wheel that is built out of the sdist alone."""
    return build("wheel", sdist, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def metadata(wheel) -> Message:
    """What pip reads of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


def test_the_wheel_holds_every_module_and_nothing_but_the_package(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = ROOT / "aio_toolkit"
    files = {f"{path.relative_to(ROOT)}" for path in package.rglob("*") if path.is_file()}
    assert names == {name for name in files if "__pycache__" not in name}


def test_the_sdist_brings_the_versions_that_are_known_to_work_but_no_half_of_the_tests(sdist):
    assert (sdist / "tools/constraints.txt").is_file()
    assert (sdist / "LICENSE").is_file()
    assert not (sdist / "test").exists()


def test_the_wheel_installs_the_command(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("/entry_points.txt")]
        assert "aio-toolkit = aio_toolkit.commands:main" in archive.read(name).decode()


def test_the_wheel_asks_for_what_the_lists_in_tools_say(metadata):
    asked = [line.partition(";") for line in metadata.get_all("Requires-Dist")]
    assert {what for what, _, condition in asked if not condition} == set(lines(""))
    for extra in metadata.get_all("Provides-Extra"):
        on = f'extra == "{extra}"'
        assert {what for what, _, condition in asked if on in condition} == set(lines(f"-{extra}"))


def test_the_wheel_has_the_extras_that_messages_name(metadata):
    assert {*EXTRAS, "test"} == set(metadata.get_all("Provides-Extra"))
