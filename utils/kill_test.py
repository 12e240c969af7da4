#!/usr/bin/env python3
"""Kill runs of a small mini_aio by `kill -9` at random moments, start them again, and compare.

Whatever a stage leaves must be what it leaves undisturbed, byte by byte, except for times and the
logs of what happened. Half an hour for fifty kills on two cores; `--short` makes three.
"""

import argparse
import hashlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from aio_toolkit.errors import AioError, cli
from aio_toolkit.files import read_json

REPO = Path(__file__).resolve().parents[1]
STAGES = range(1, 7)
# What may differ, and why.
MAY_DIFFER = {
    "*.log": "tells of times and of the kill",
    "*/logs/*": "figures are logged up to the kill, and again from the checkpoint on",
    "*/tensorboard/*": "likewise",
    "*/checkpoints/previous.ckpt": "the state before the last, whichever that was",
}
# Files of which something else than all bytes is compared.
SECONDS = "seconds"


@cli
def main() -> None:
    """Make the reference, then kill and compare."""
    args = build_parser().parse_args()
    kills = 3 if args.short else args.kills
    with tempfile.TemporaryDirectory(prefix="kill_test_", dir=args.folder) as folder:
        test = KillTest(Path(folder), random.Random(args.seed))
        test.make_references()
        stages = itertools.islice(itertools.cycle([2, 4, 5] if args.short else STAGES), kills)
        results = [test.kill(stage, number) for number, stage in enumerate(stages)]
    print(f"{sum(results)} of {kills} runs ended as an undisturbed one does")
    if not all(results):
        raise AioError("what was interrupted ended otherwise; see above")


def build_parser() -> argparse.ArgumentParser:
    """Options of the test."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50, help="runs to kill, of all stages in turn")
    parser.add_argument("--short", action="store_true", help="three kills: stages 2, 4 and 5")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--folder", type=Path, help="where to work; the system's temporary folder")
    return parser


class KillTest:
    """Runs of the recipe in copies of it, each with what the stages before had made."""

    def __init__(self, folder: Path, dice: random.Random):
        """Work in a folder."""
        self.folder, self.dice = folder, dice
        self.seconds: dict[int, float] = {}
        for name in ("aio_toolkit", "tools", "utils"):
            (folder / name).symlink_to(REPO / name)
        shutil.copytree(REPO / "egs/TEMPLATE", folder / "egs/TEMPLATE")
        made = ["corpus", "data", "dump", "exp", "*_small", "*_full"]
        shutil.copytree(
            REPO / "egs/mini_aio", self._recipe(0), ignore=shutil.ignore_patterns(*made)
        )

    def make_references(self) -> None:
        """Run the stages undisturbed, one after the other."""
        for stage in STAGES:
            shutil.copytree(self._recipe(stage - 1), self._recipe(stage))
            begin = time.monotonic()
            process = self._start(self._recipe(stage), stage)
            _finish(process)
            self.seconds[stage] = time.monotonic() - begin
            print(f"stage {stage} takes {self.seconds[stage]:.0f} s undisturbed", flush=True)

    def kill(self, stage: int, number: int) -> bool:
        """Kill a stage some time after it has begun, run it again; whether nothing differs."""
        recipe = self.folder / "egs" / "killed"
        shutil.copytree(self._recipe(stage - 1), recipe)
        # Every fifth with temporary files on a file system of their own.
        elsewhere = number % 5 == 4 and Path("/dev/shm").is_dir()
        variables = {"TMPDIR": "/dev/shm"} if elsewhere else {}
        after = self.dice.uniform(0, self.seconds[stage])
        process = self._start(recipe, stage, **variables)
        try:
            process.wait(timeout=after)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        _finish(self._start(recipe, stage, **variables))
        differing = list(differences(self._recipe(stage), recipe))
        where = ", temporary files elsewhere" if elsewhere else ""
        verdict = "; ".join(differing) or "equal"
        print(f"kill {number + 1}: stage {stage} after {after:.1f} s{where}: {verdict}", flush=True)
        shutil.rmtree(recipe)
        return not differing

    def _recipe(self, stage: int) -> Path:
        """The recipe as a stage leaves it; stage 0 is nothing done."""
        return self.folder / "egs" / f"stage_{stage}"

    def _start(self, recipe: Path, stage: int, **variables: str) -> subprocess.Popen[str]:
        stages = ["--stage", str(stage), "--stop_stage", str(stage)]
        return subprocess.Popen(
            ["./run.sh", "--small", "true", "--nj", "2", *stages],
            cwd=recipe,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


def _finish(process: subprocess.Popen[str]) -> None:
    said, _ = process.communicate()
    if process.returncode:
        raise AioError(f"a stage failed:\n{said[-3000:]}")


def differences(wanted: Path, found: Path) -> Iterator[str]:
    """What differs between two folders of a recipe, a few words for each file."""
    names = {
        str(path.relative_to(folder))
        for folder in (wanted, found)
        for path in folder.rglob("*")
        if path.is_file()
    }
    for name in sorted(names):
        if any(fnmatch(name, pattern) for pattern in MAY_DIFFER):
            continue
        if not (found / name).is_file():
            yield f"{name} is missing"
        elif not (wanted / name).is_file():
            yield f"{name} is left over"
        elif content_of(wanted / name) != content_of(found / name):
            yield f"{name} differs"


def content_of(path: Path) -> Any:
    """What has to be equal of a file."""
    if path.name == "cost.json":
        return {key: value for key, value in read_json(path).items() if key != SECONDS}
    if path.suffix == ".ckpt":
        return _state_of(path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _state_of(path: Path) -> str:
    """A checkpoint without what its callbacks know: times, and the folder that it is in."""
    import torch

    content = torch.load(path, map_location="cpu", weights_only=True)
    content.pop("callbacks", None)
    torch.set_printoptions(threshold=sys.maxsize, precision=20)
    return hashlib.sha256(repr(content).encode()).hexdigest()


if __name__ == "__main__":
    main()
