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


def finish_recipe(root: Path, stop_stage: int) -> Path:
    """The folder of a copy whose stages are done up to one."""
    recipe = copy_recipe(root)
    done = run_recipe(recipe, {"stage": "1", "stop_stage": str(stop_stage)})
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return recipe


def copy_finished(recipe: Path, root: Path) -> Path:
    """The folder of a copy of a recipe with all that its stages have made, times included."""
    shutil.copytree(recipe.parents[1], root, symlinks=True)
    return root / "egs" / recipe.name


def words_of(options: Mapping[str, str]) -> list[str]:
    """The command line of a recipe, in the smallest setting where the options say nothing else."""
    pairs = [(f"--{name}", value) for name, value in {**SMALL, **options}.items()]
    return ["./run.sh", *(word for pair in pairs for word in pair)]


def run_recipe(recipe: Path, options: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run its stages to their end."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        words_of(options),
        cwd=recipe,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
