#!/usr/bin/env python
"""Does a restructured checkout still compute the same numbers?

    utils/same_numbers.py run CHECKOUT OUT   tiny runs of all commands; keeps weights and figures
    utils/same_numbers.py compare A B        tensor by tensor and figure by figure

The commands are the stable interface. What they call by other names in another checkout stands in
the tables of `same_numbers_dialects.py`. Numbers agree to the bit only on one kind of machine.
"""

import argparse
import contextlib
import functools
import hashlib
import importlib
import json
import math
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from same_numbers_dialects import DIALECTS, ITEMS, NOW, draws_of_the_reference, rename_item
from same_numbers_files import Value, kind_of, read_values, write_inputs
from same_numbers_matrix import CODEC, Step, matrix

NUMBERS = "numbers.json"
# What a group holds: the present name of each item, the name that it is stored by, and its value.
Group = dict[str, tuple[str, Value]]


def build_parser() -> argparse.ArgumentParser:
    """The two subcommands."""
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=style)
    actions = parser.add_subparsers(dest="action", required=True)
    run = actions.add_parser("run", help="run the matrix with a checkout and store its numbers")
    run.add_argument("checkout", type=Path, help="folder that holds aio_toolkit/")
    run.add_argument("out", type=Path, help="folder for the numbers")
    run.add_argument("--dialect", choices=DIALECTS, default=NOW, help="whose words it understands")
    run.add_argument("--codec", type=Path, help="the codec of another run, OUT/codec; else made")
    compare = actions.add_parser("compare", help="compare two stored sets of numbers")
    compare.add_argument("first", type=Path, help="OUT of one run")
    compare.add_argument("second", type=Path, help="OUT of another run")
    compare.add_argument("--tolerance", type=float, default=0.0, help="largest difference allowed")
    return parser


def main() -> None:
    """Run or compare; the exit status is 1 where a command failed or a number differs."""
    args = build_parser().parse_args()
    if args.action == "compare":
        sys.exit(compare_sets(args.first, args.second, args.tolerance))
    checkout, out = args.checkout.resolve(), args.out.resolve()
    restart_with(checkout)
    out.mkdir(parents=True, exist_ok=True)
    codec = (args.codec or out / "codec").resolve()
    # The log stays open to the end: loggers keep the stream that they were made with.
    with (
        (out / "log.txt").open("w") as log,
        tempfile.TemporaryDirectory() as work,
        contextlib.chdir(work),
    ):
        tasks = checkout / "egs/TEMPLATE/conf/tasks.yaml"
        if tasks.is_file():
            shutil.copytree(tasks.parent, "conf")
        failed = run_matrix(out, codec, args.dialect, log)
    print(f"failed: {', '.join(failed)}; see {out}/log.txt" if failed else f"wrote {out}")
    sys.exit(bool(failed))


def restart_with(checkout: Path) -> None:
    """Begin again with the checkout's package, one thread and no GPU, unless it is so already."""
    wanted = {
        "PYTHONPATH": str(checkout),
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "MPLBACKEND": "Agg",
    }
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | wanted)
    import aio_toolkit

    found = Path(aio_toolkit.__file__)
    if not found.is_relative_to(checkout):
        sys.exit(f"error: {checkout} holds no aio_toolkit; {found} was found instead.")


def run_matrix(out: Path, codec: Path, dialect: str, log: TextIO) -> list[str]:
    """Run all steps in the working folder, store their numbers; return the steps that failed."""
    write_inputs(Path.cwd())
    if not codec.is_dir():
        make_codec(codec)
    Path("codec").symlink_to(codec)
    groups: dict[str, dict[str, Any]] = {}
    failed = []
    for step in matrix(dialect):
        start = time.monotonic()
        result = ""
        try:
            with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
                run_step(step)
            groups |= store(step, out)
        except (Exception, SystemExit) as error:
            traceback.print_exc(file=log)
            failed.append(step.folder)
            result = f"  FAILED: {' '.join(str(error).split())[:300]}"
        print(f"{time.monotonic() - start:6.1f} s  {step.folder}{result}", flush=True)
    content = {"dialect": dialect, "failed": failed, "groups": groups}
    (out / NUMBERS).write_text(json.dumps(content, indent=1), encoding="utf-8")
    return failed


def make_codec(folder: Path) -> None:
    """A codec with random weights, by the functions that e2673a6 has for it."""
    import torch

    from aio_toolkit.codec.dac import DacConfig, build_dac, save_dac

    torch.manual_seed(0)
    config = DacConfig(**CODEC)
    save_dac(folder, build_dac(config), config)


def run_step(step: Step) -> None:
    """Call the `main` of each command in this process, which has paid for the imports."""
    import torch

    for line in step.lines:
        print("#", *line, flush=True)
        module = importlib.import_module(f"aio_toolkit.bin.{line[0]}")
        # What a command draws must not depend on those before it.
        torch.manual_seed(0)
        np.random.seed(0)
        sys.argv = line
        with draws_of_the_reference(line[0]):
            module.main()


def store(step: Step, out: Path) -> dict[str, dict[str, Any]]:
    """Write the arrays of a step; return its groups, with a hash in place of each array."""
    folder = Path(step.folder)
    groups: dict[str, dict[str, Value]] = defaultdict(dict)
    for pattern in step.files:
        paths = sorted(folder.glob(pattern))
        if not paths:
            raise FileNotFoundError(f"{folder} has no {pattern}")
        for path in paths:
            items = groups[f"{folder} {kind_of(path)}"]
            for name, value in read_values(path):
                items[f"{path.relative_to(folder)}:{name}"] = value
    for group, items in groups.items():
        arrays = {name: value for name, value in items.items() if isinstance(value, np.ndarray)}
        if arrays:
            path = arrays_path(out, group)
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, **arrays)
        items.update({name: digest(array) for name, array in arrays.items()})
    return groups


def arrays_path(out: Path, group: str) -> Path:
    """Where the arrays of a group are."""
    return out / f"{group.replace(' ', '_')}.npz"


def digest(array: np.ndarray) -> str:
    """A hash of type, shape and bytes."""
    title = f"{array.dtype} {array.shape} "
    return hashlib.sha256(title.encode() + array.tobytes()).hexdigest()


@dataclass
class Comparison:
    """How the items of two groups relate: equal, close, different, missing or extra."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    largest: float = 0.0

    def add(self, relation: str, item: str, gap: float = 0.0) -> None:
        """Count an item; the example is the first, or the one with the largest difference."""
        self.counts[relation] += 1
        if relation not in self.examples or gap > self.largest:
            self.examples[relation] = item
        self.largest = max(self.largest, gap)

    @property
    def holds(self) -> bool:
        """Whether nothing is different, missing or extra."""
        return self.counts.keys() <= {"equal", "close"}

    def __str__(self) -> str:
        parts = []
        for relation, count in self.counts.items():
            example = "" if relation == "equal" else f" ({self.examples[relation]})"
            parts.append(f"{count} {relation}{example}")
        if self.largest:
            parts.append(f"max abs difference {self.largest:.3g}")
        return ", ".join(parts)


def compare_sets(first: Path, second: Path, tolerance: float) -> int:
    """Print a line a group; return the exit status."""
    renamed: Counter[str] = Counter()
    sets = [read_set(path, renamed) for path in (first, second)]
    for pattern, count in renamed.items():
        print(f"{count} items renamed: {pattern} -> {ITEMS[pattern]}")
    groups = sorted(sets[0].keys() | sets[1].keys())
    broken = 0
    for group in groups:
        pair = [groups_of.get(group, {}) for groups_of in sets]
        paths = [arrays_path(out, group) for out in (first, second)]
        result = compare_groups(*pair, *paths, tolerance)
        broken += not result.holds
        print(f"{'  ' if result.holds else '! '}{group:35}{result}")
    total = len(groups)
    print(f"{broken} of {total} groups differ" if broken else f"all {total} groups agree")
    return int(broken > 0)


def read_set(out: Path, renamed: Counter[str]) -> dict[str, Group]:
    """The groups of a run by present names; counts the items of each renaming."""
    content = json.loads((out / NUMBERS).read_text(encoding="utf-8"))
    groups: dict[str, Group] = defaultdict(dict)
    for group, items in content["groups"].items():
        for stored, value in items.items():
            name, pattern = rename_item(stored, content["dialect"])
            if name != stored and pattern is not None:
                renamed[pattern] += 1
            if name is not None:
                groups[group][name] = (stored, value)
    return groups


def compare_groups(
    first: Group, second: Group, first_path: Path, second_path: Path, tolerance: float
) -> Comparison:
    """Relate all items of two groups; arrays are read only where their hashes differ."""
    result = Comparison()
    for name in sorted(first.keys() | second.keys()):
        if name not in first or name not in second:
            result.add("missing" if name in first else "extra", name)
            continue
        a, b = first[name][1], second[name][1]
        if a == b or (a != a and b != b):  # NaN equals NaN here
            result.add("equal", name)
            continue
        gap = difference(read(first_path, *first[name]), read(second_path, *second[name]))
        result.add("close" if gap <= tolerance else "different", name, gap)
    return result


def read(path: Path, stored: str, value: Value) -> Value:
    """The stored array where there is one, else the value, which then is no hash."""
    return arrays_in(path).get(stored, value) if path.is_file() else value


@functools.lru_cache(maxsize=2)
def arrays_in(path: Path) -> np.lib.npyio.NpzFile:
    """The arrays of a group, read when asked for."""
    return np.load(path)


def difference(first: Value, second: Value) -> float:
    """The largest absolute difference; infinite between texts, shapes, and NaN and numbers."""
    if isinstance(first, str | None) or isinstance(second, str | None):
        return math.inf
    if np.shape(first) != np.shape(second):
        return math.inf
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    alike = (a == b) | (np.isnan(a) & np.isnan(b))
    gaps = np.where(alike, 0.0, np.abs(a - b))
    return float(np.nan_to_num(gaps, nan=math.inf, posinf=math.inf).max(initial=0.0))


if __name__ == "__main__":
    main()
