"""What `python -m build` makes: an sdist, and out of it a wheel with everything that runs."""

import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from built_wheel import build_sdist, build_wheel
from requirement_lists import lines

from aio_toolkit.extras import EXTRAS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory) -> Path:
    """The sdist of this checkout, unpacked."""
    return build_sdist(tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory) -> Path:
    """The wheel that is built out of the sdist alone."""
    return build_wheel(sdist, tmp_path_factory.mktemp("wheel"))


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
