"""A copy of egs/mini_aio, whose stages run as a user runs them, in its smallest setting."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# The smallest setting, in the folders that recipes have by default.
SMALL = {
    "nj": "1",
    "small": "true",
    "local_data_opts": "--scale 0.01",
    **{f"{name}dir": name for name in ("data", "dump", "exp")},
    "tag": "small",
}


def copy_recipe(root: Path) -> Path:
    """The folder of a copy of the recipe's own files, in a tree like the repository's."""
    need_environment()
    for name in ("aio_toolkit", "tools", "utils"):
        (root / name).symlink_to(ROOT / name)
    made = shutil.ignore_patterns("corpus", "data", "dump", "exp", "*_small", "*_full")
    for name in ("TEMPLATE", "mini_aio"):
        shutil.copytree(ROOT / "egs" / name, root / "egs" / name, ignore=made)
    return root / "egs/mini_aio"


def need_environment() -> None:
    """Skip the test where recipes cannot run."""
    if not (ROOT / "tools/venv/.installed").is_file():
        pytest.skip("the recipe runs in tools/venv, which is not there (make setup)")


def run_recipe(recipe: Path, options: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run its stages, in the smallest setting where the options say nothing else."""
    pairs = [(f"--{name}", value) for name, value in {**SMALL, **options}.items()]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        ["./run.sh", *(word for pair in pairs for word in pair)],
        cwd=recipe,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
