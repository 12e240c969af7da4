"""Packaging of aio_toolkit. tools/constraints.txt pins the versions of everything."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def requirements(name: str) -> list[str]:
    """The requirement lines of a file in tools/, and of those that it names with `-r`."""
    found: list[str] = []
    for line in (ROOT / "tools" / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            found += requirements(line.removeprefix("-r "))
        elif line and not line.startswith("#"):
            found.append(line)
    return found


INIT = (ROOT / "aio_toolkit/__init__.py").read_text(encoding="utf-8")
VERSION = re.search(r'__version__ = "(.+)"', INIT)[1]

setup(
    name="aio_toolkit",
    version=VERSION,
    description="Recipes and parts for the All-In-One (AIO) audio transformer",
    license="Apache-2.0",
    python_requires=">=3.12,<3.14",
    packages=find_packages(include=["aio_toolkit", "aio_toolkit.*"]),
    install_requires=requirements("requirements.txt"),
    entry_points={"console_scripts": ["aio-toolkit = aio_toolkit.commands:main"]},
    extras_require={
        extra: requirements(f"requirements-{extra}.txt")
        for extra in ("codec", "train", "metrics", "demo", "test")
    },
)
