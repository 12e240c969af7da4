"""Whether tests notice broken code: they run in copies of the repository, several at a time."""

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

from mutants_tree import PACKAGE, Mutant, MutantError, mutated_source
from tqdm import tqdm

PYTEST = [sys.executable, "-m", "pytest", "-m", "not slow and not all", "-q", "--tb=no"]
FAILURE = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)
# Exit status of pytest: all passed, or every test was left out.
UNNOTICED = (0, 5)
# What the tests of one folder may take on the unbroken code, in seconds.
PATIENCE = 1800.0
# Seconds between two looks at the tests that run.
POLL = 0.02
SINGLE_THREADED = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# Plugins of packages that happen to be installed take longer to load than many tests.
LEAN = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}


@dataclass(frozen=True)
class Trial:
    """Tests in a copy of a repository.

    Attributes:
        name: of the mutant, or whatever it is that is tried.
        repository: what is copied.
        arguments: of pytest.
        limit: seconds after which the tests are ended.
        changes: text that files of the copy have instead of their own.
    """

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
        noticed = [verdict for verdict in self.verdicts if verdict.noticed_by]
        return 100 * len(noticed) / max(1, len(self.verdicts))


class Run:
    """A trial under way: one pytest process in a copy of its own."""

    def __init__(self, trial: Trial) -> None:
        """Make the copy; start the tests."""
        self.trial = trial
        self.started = time.monotonic()
        self.folder = tempfile.TemporaryDirectory(prefix="mutant-")
        top = Path(self.folder.name)
        copied = top / "repository"
        shutil.copytree(trial.repository, copied, symlinks=True)
        for path, source in trial.changes.items():
            (copied / path).write_text(source, encoding="utf-8")

        output = top / "output"
        self.output = output.open("w+", encoding="utf-8", errors="replace")
        # Processes that tests start must import the copy too, and not what is installed.
        imports = {"PYTHONPATH": str(copied)}
        options = ["-p", "no:cacheprovider", f"--basetemp={top / 'tmp'}"]
        self.process = subprocess.Popen(
            [*PYTEST, *options, *trial.arguments],
            cwd=copied,
            env=os.environ | SINGLE_THREADED | LEAN | imports,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            # A session of their own, so that `finish` reaches all that the tests start.
            start_new_session=True,
        )

    def is_over(self) -> bool:
        """Whether the tests have ended or used up their time."""
        seconds = time.monotonic() - self.started
        return seconds > self.trial.limit or self.process.poll() is not None

    def finish(self) -> Verdict:
        """Stop what still runs, read what came of it, and remove the copy."""
        status = self.process.poll()
        seconds = time.monotonic() - self.started
        # Even of tests that have ended some process may be left.
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

        self.output.seek(0)
        text = self.output.read()
        self.output.close()
        self.folder.cleanup()

        # A test that fails and then its teardown too is one test.
        failed = list(dict.fromkeys(FAILURE.findall(text)))
        ended = ""
        if status is None:
            ended = f"timeout after {seconds:.0f} s"
        elif status not in UNNOTICED and not failed:
            last_words = " ".join(text.split())[-200:]
            ended = f"pytest ended with status {status}: {last_words}"
        return Verdict(self.trial.name, failed, seconds, ended)


def run_all(trials: Sequence[Trial], jobs: int) -> Iterator[Verdict]:
    """Run trials, `jobs` at a time; verdicts come in the order in which trials end."""
    waiting = list(trials)
    running: list[Run] = []
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(Run(waiting.pop(0)))
            over = [run for run in running if run.is_over()]
            for run in over:
                running.remove(run)
                yield run.finish()
            time.sleep(POLL)
    finally:
        # Whoever stops asking for verdicts leaves no tests behind.
        for run in running:
            run.finish()


def copy_repository(root: Path, to: Path) -> None:
    """Copy what git tracks or would add; the environment becomes a link."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    result = subprocess.run(listing, cwd=root, capture_output=True, text=True, check=True)
    for name in filter(None, result.stdout.split("\0")):
        # A deleted file is listed until the deletion is committed.
        if (root / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, to / name)

    environment = root / "tools/venv"
    if environment.is_dir():
        (to / "tools").mkdir(exist_ok=True)
        (to / "tools/venv").symlink_to(environment.resolve())


def mirrored_tests(root: Path, mutant: Mutant) -> list[str]:
    """Test files for a mutant: the mirror of its module first, then the rest of the folder."""
    module = Path(mutant.module)
    mirror = root / "test" / module.with_name(f"test_{module.name}")
    files = [mirror]
    if mutant.tests:
        files = []
        for path in mutant.tests:
            files += _test_files(root / path) or [root / path]
    elif len(module.parts) > 1:
        files = _test_files(root / "test" / module.parts[0])
        # What is most likely to fail comes first: the run ends there.
        files.sort(key=lambda file: (file != mirror, file.parent != mirror.parent))

    missing = [file for file in files if not file.is_file()]
    if missing or not files:
        problem = f"no test mirrors {mutant.module}"
        raise MutantError(f"{mutant.name}: {problem}; name some in `tests`.")
    return [file.relative_to(root).as_posix() for file in files]


def judge(root: Path, mutants: Sequence[Mutant], seconds: float, jobs: int) -> Report:
    """Run the tests on every mutant that the code has room for.

    Args:
        root: the repository, which must not change meanwhile.
        mutants: what to break.
        seconds: what the tests of a mutant may take; more where the unbroken code takes a third.
        jobs: mutants that are tested at a time.
    """
    sources: dict[str, str] = {}
    files_of: dict[str, list[str]] = {}
    stale = []
    for mutant in mutants:
        try:
            source = mutated_source(root, mutant)
            files_of[mutant.name] = mirrored_tests(root, mutant)
            sources[mutant.name] = source
        except MutantError as error:
            stale.append(str(error))

    unbroken = _run_unbroken(root, files_of.values(), jobs)
    red = [test for verdict in unbroken.values() for test in verdict.failed]
    without_red = [_left_out(test) for test in red]
    trials = []
    for mutant in mutants:
        if mutant.name not in sources:
            continue
        files = files_of[mutant.name]
        folders = {_folder(file) for file in files}
        usual = sum(unbroken[folder].seconds for folder in folders)
        trial = Trial(
            name=mutant.name,
            repository=root,
            arguments=["-x", *without_red, *files],
            limit=max(seconds, 3 * usual),
            changes={f"{PACKAGE}/{mutant.module}": sources[mutant.name]},
        )
        trials.append(trial)

    verdicts = _run_with_bar(trials, jobs, "mutant")
    return Report([verdicts[trial.name] for trial in trials], stale, red)


def _run_unbroken(root: Path, tests: Iterable[list[str]], jobs: int) -> dict[str, Verdict]:
    """What the tests say of the code as it is, by test folder."""
    needed = {file for files in tests for file in files}
    folders: dict[str, list[str]] = {}
    for file in sorted(needed):
        folders.setdefault(_folder(file), []).append(file)
    trials = [Trial(name, root, files, PATIENCE) for name, files in folders.items()]
    verdicts = _run_with_bar(trials, jobs, "folder")
    for verdict in verdicts.values():
        if verdict.ended:
            sys.exit(f"error: {verdict.name} without a mutant: {verdict.ended}.")
    return verdicts


def _run_with_bar(trials: Sequence[Trial], jobs: int, unit: str) -> dict[str, Verdict]:
    """Verdicts by the names of the trials."""
    bar = tqdm(run_all(trials, jobs), total=len(trials), unit=unit)
    return {verdict.name: verdict for verdict in bar}


def _test_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("test_*.py"))


def _folder(file: str) -> str:
    first_two = file.split("/")[:2]
    return "/".join(first_two)


def _left_out(failed: str) -> str:
    """The option of pytest that leaves out a test, or a file that cannot be imported."""
    return f"--deselect={failed}" if "::" in failed else f"--ignore={failed}"
