#!/usr/bin/env python
"""Do the fast tests notice when the code is wrong?  utils/mutants.py --jobs 2

Breaks the package in one place at a time, as listed in utils/mutants.yaml, and runs the tests that
mirror the broken module. The working tree stays as it is: everything happens in copies of it. Tests
that fail without a mutant are named and left out, since they would notice everything.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mutants_tree import PACKAGE, Mutant, MutantError, load_mutants, mutated_source
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_suffix(".yaml")
PYTEST = [sys.executable, "-m", "pytest", "-m", "not slow", "-q", "--tb=no"]
FAILURE = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)
# Exit status of pytest: all passed, or every test was left out.
UNNOTICED = (0, 5)
# What the tests of one folder may take on the unbroken code, in seconds.
PATIENCE = 1800.0


@dataclass(frozen=True)
class Trial:
    """Tests in a copy of `repository` with the text of some files changed; `limit` in seconds."""

    name: str
    repository: Path
    arguments: list[str]
    limit: float
    changes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """The tests that failed in a trial; `ended` says what ended it where no test did."""

    name: str
    failed: list[str]
    seconds: float
    ended: str = ""

    @property
    def noticed_by(self) -> str:
        """The first test that failed, or what else went wrong; empty where all passed."""
        return self.failed[0] if self.failed else self.ended


@dataclass(frozen=True)
class Report:
    """What a run of the tool found.

    Attributes:
        verdicts: one for each mutant that applies, in the order of the list.
        stale: messages about mutants that no longer apply.
        red: tests that fail without a mutant.
    """

    verdicts: list[Verdict]
    stale: list[str]
    red: list[str]

    @property
    def share(self) -> float:
        """Share of the mutants that the tests noticed, in per cent."""
        noticed = sum(bool(verdict.noticed_by) for verdict in self.verdicts)
        return 100 * noticed / max(1, len(self.verdicts))

    def format(self) -> str:
        """A Markdown table and the sums below it."""
        lines = ["| mutant | verdict | test | seconds |", "|:--|:--|:--|--:|"]
        for verdict in self.verdicts:
            word = "noticed" if verdict.noticed_by else "**survived**"
            test = verdict.noticed_by.replace("|", r"\|")
            lines.append(f"| {verdict.name} | {word} | {test} | {verdict.seconds:.0f} |")
        lines += ["", f"{self.share:.1f} % of {len(self.verdicts)} mutants noticed"]
        lines += [f"no longer applies: {message}" for message in self.stale]
        lines += [f"left out, fails without a mutant: {test}" for test in self.red]
        return "\n".join(lines) + "\n"


class Run:
    """A trial under way: one pytest process in a copy of its own."""

    def __init__(self, trial: Trial):
        self.trial, self.started = trial, time.monotonic()
        self.folder = tempfile.TemporaryDirectory(prefix="mutant-")
        top = Path(self.folder.name)
        copied = shutil.copytree(trial.repository, top / "repository", symlinks=True)
        for path, source in trial.changes.items():
            (copied / path).write_text(source, encoding="utf-8")
        self.output = (top / "output").open("w+", encoding="utf-8", errors="replace")
        single_threaded = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        # Plugins of packages that happen to be installed take longer to load than many tests.
        lean = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        # Processes that tests start must import the copy too, and not what is installed.
        imports = {"PYTHONPATH": str(copied)}
        self.process = subprocess.Popen(
            [*PYTEST, "-p", "no:cacheprovider", f"--basetemp={top / 'tmp'}", *trial.arguments],
            cwd=copied,
            env=os.environ | single_threaded | lean | imports,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def is_over(self) -> bool:
        """Whether the tests have ended or used up their time."""
        late = time.monotonic() - self.started > self.trial.limit
        return late or self.process.poll() is not None

    def finish(self) -> Verdict:
        """Stop what still runs, read what came of it, and remove the copy."""
        status, seconds = self.process.poll(), time.monotonic() - self.started
        # All processes that the tests started are in the session of the first.
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.output.seek(0)
        text = self.output.read()
        self.output.close()
        self.folder.cleanup()
        failed, ended = list(dict.fromkeys(FAILURE.findall(text))), ""
        if status is None:
            ended = f"timeout after {seconds:.0f} s"
        elif status not in UNNOTICED and not failed:
            ended = f"pytest ended with status {status}: {' '.join(text.split())[-200:]}"
        return Verdict(self.trial.name, failed, seconds, ended)


def run_all(trials: Sequence[Trial], jobs: int) -> Iterator[Verdict]:
    """Run trials, `jobs` at a time; verdicts come in the order in which trials end."""
    waiting, running = list(trials), []
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(Run(waiting.pop(0)))
            for run in [run for run in running if run.is_over()]:
                running.remove(run)
                yield run.finish()
            time.sleep(0.02)
    finally:
        for run in running:
            run.finish()


def copy_repository(root: Path, to: Path) -> None:
    """Copy what git tracks or would add; the environment becomes a link."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=root, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (root / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, to / name)
    if (root / "tools/venv").is_dir():
        (to / "tools").mkdir(exist_ok=True)
        (to / "tools/venv").symlink_to((root / "tools/venv").resolve())


def mirrored_tests(root: Path, mutant: Mutant) -> list[str]:
    """Test files for a mutant: the mirror of its module first, then the rest of the folder."""
    module = Path(mutant.module)
    mirror = root / "test" / module.with_name(f"test_{module.name}")
    if mutant.tests:
        named = [root / path for path in mutant.tests]
        files = [file for path in named for file in sorted(path.rglob("test_*.py")) or [path]]
    elif len(module.parts) == 1:
        files = [mirror]
    else:
        files = sorted((root / "test" / module.parts[0]).rglob("test_*.py"))
        files.sort(key=lambda file: (file != mirror, file.parent != mirror.parent))
    if not all(file.is_file() for file in files) or not files:
        raise MutantError(f"{mutant.name}: no test mirrors {mutant.module}; name some in `tests`.")
    return [file.relative_to(root).as_posix() for file in files]


def judge(root: Path, mutants: Sequence[Mutant], seconds: float, jobs: int) -> Report:
    """Run the tests on every mutant that the code has room for.

    Args:
        root: the repository, which must not change meanwhile.
        mutants: what to break.
        seconds: what the tests of a mutant may take; more where the unbroken code takes a third.
        jobs: mutants that are tested at a time.
    """
    sources, files_of, stale = {}, {}, []
    for mutant in mutants:
        try:
            source = mutated_source(root, mutant)
            files_of[mutant.name] = mirrored_tests(root, mutant)
            sources[mutant.name] = {f"{PACKAGE}/{mutant.module}": source}
        except MutantError as error:
            stale.append(str(error))
    unbroken = _run_unbroken(root, files_of.values(), jobs)
    red = [test for verdict in unbroken.values() for test in verdict.failed]
    trials = []
    for name, files in files_of.items():
        usual = sum(unbroken[folder].seconds for folder in {_folder(file) for file in files})
        options = ["-x", *map(_left_out, red), *files]
        trials.append(Trial(name, root, options, max(seconds, 3 * usual), sources[name]))
    bar = tqdm(run_all(trials, jobs), desc="mutants", total=len(trials), unit="mutant")
    verdicts = {verdict.name: verdict for verdict in bar}
    return Report([verdicts[trial.name] for trial in trials], stale, red)


def _run_unbroken(root: Path, tests: Iterable[list[str]], jobs: int) -> dict[str, Verdict]:
    """What the tests say of the code as it is, by test folder."""
    folders: dict[str, list[str]] = {}
    for file in sorted({file for files in tests for file in files}):
        folders.setdefault(_folder(file), []).append(file)
    trials = [Trial(name, root, files, PATIENCE) for name, files in folders.items()]
    bar = tqdm(run_all(trials, jobs), desc="unbroken", total=len(trials), unit="folder")
    verdicts = {verdict.name: verdict for verdict in bar}
    for verdict in verdicts.values():
        if verdict.ended:
            sys.exit(f"error: {verdict.name} without a mutant: {verdict.ended}.")
    return verdicts


def _folder(file: str) -> str:
    return "/".join(file.split("/")[:2])


def _left_out(failed: str) -> str:
    """The option of pytest that leaves out a test, or a file that cannot be imported."""
    return f"--deselect={failed}" if "::" in failed else f"--ignore={failed}"


def list_mutants(root: Path, mutants: Sequence[Mutant]) -> int:
    """Print each mutant and whether it applies; return how many do not."""
    stale = 0
    for mutant in mutants:
        try:
            mutated_source(root, mutant)
            print(f"{mutant.name}: {mutant.module} {mutant.function}")
        except MutantError as error:
            stale += 1
            print(f"no longer applies: {error}")
    return stale


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="mutants whose name or module match this regex")
    parser.add_argument("--list", action="store_true", help="list the mutants, test nothing")
    parser.add_argument("--jobs", type=int, default=1, help="mutants tested at a time (1)")
    parser.add_argument("--seconds", type=float, default=120.0, help="for one mutant's tests (120)")
    parser.add_argument("--least", type=float, default=90.0, help="share to notice, in %% (90)")
    parser.add_argument("--out", type=Path, help="file for the table")
    return parser


def main() -> None:
    """Print the table; exit with 1 where too many mutants survive or the list is out of date."""
    args = build_parser().parse_args()
    # An exit by exception ends the tests that run; a plain SIGTERM would leave them behind.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    mutants = [m for m in load_mutants(LIST) if re.search(args.only, f"{m.name} {m.module}")]
    if args.list:
        sys.exit(list_mutants(ROOT, mutants) > 0)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        # One state of the code for all mutants, whatever is edited meanwhile.
        copied = Path(folder)
        copy_repository(ROOT, copied)
        report = judge(copied, mutants, args.seconds, args.jobs)
    table = report.format()
    print(table, end="")
    if args.out:
        args.out.write_text(table, encoding="utf-8")
    sys.exit(1 if report.share < args.least or report.stale else 0)


if __name__ == "__main__":
    main()
