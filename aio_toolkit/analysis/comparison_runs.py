"""Runs of a comparison: which of them are finished, and the making of the others."""

import dataclasses
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aio_toolkit.analysis.comparison_list import ComparisonList, PlannedRun
from aio_toolkit.analysis.comparison_report import format_comparison, write_comparison
from aio_toolkit.analysis.kept_run import KeptRun
from aio_toolkit.answers.decode_stamp import DecodeStamp
from aio_toolkit.config import from_values, load_config, to_dict
from aio_toolkit.data.digest import digest_of
from aio_toolkit.data.inputs import read_inputs
from aio_toolkit.data.layout import WAVES
from aio_toolkit.decoding.run import BatchDecoder
from aio_toolkit.dump.fingerprints import CODEC_FILE
from aio_toolkit.dump.split import Corpus
from aio_toolkit.errors import AioError, StoppedError
from aio_toolkit.files import read_json, write_json
from aio_toolkit.tasks import Task, load_tasks
from aio_toolkit.training.multitask import MultitaskModule
from aio_toolkit.training.run import MADE_FROM, Run, contents

# Beside the results of a run: what run.sh was told. It comes last, and says that they are whole.
OPTIONS = "options.json"


class System:
    """What the runs of a system would be made of, as the recipe stands now."""

    def __init__(self, run: PlannedRun):
        """Read the configurations of a system, of which any run is given.

        Raises:
            AioError: a configuration or the file of the tasks is wrong.
        """
        options = run.options
        self.tasks = load_tasks(Path(options["tasks_config"]))
        train_args = options["train_args"].split()
        self.train = load_config(MultitaskModule.Config, options["train_config"], train_args)
        decode_args = [f"decoders.audio.codec={options['codec']}", *options["decode_args"].split()]
        self.decode = load_config(BatchDecoder.Config, options["decode_config"], decode_args)
        self.corpus = Corpus(
            Path(options["datadir"]),
            Path(options["dumpdir"]),
            self.tasks,
            options["train_set"],
            options["dev_set"],
        )

    def check_stage_2(self) -> None:
        """Refuse to begin without what runs do not make themselves; AioError says what to do."""
        path = self.corpus.train.dump / CODEC_FILE
        if not path.is_file():
            remedy = "Run './run.sh --stop_stage 2' first, with the same options but without a list"
            raise AioError(f"runs of a list begin with stage 3, and {path} is not there. {remedy}.")

    def differs(self, run: PlannedRun, folder: Path) -> str:
        """Why a run has to be made; empty if its results are in the folder.

        Kept are the options of run.sh, the configuration of the training, what it was made from,
        and what it was decoded with. Data and models that are not on this machine cannot differ.
        """
        if not (folder / OPTIONS).is_file():
            return "no results yet"
        told = read_json(folder / OPTIONS)
        for name, text in run.told.items():
            # An option that did not exist then had its default.
            if told.get(name, text) != text:
                return f"other results are there, of --{name} '{told[name]}', now '{text}'"
        config = dataclasses.replace(self.train, seed=run.seed)
        changed = Run(config, folder, self._made_from(folder)).differs()
        changed = changed or self._decoded_from(run, folder)
        return f"other results are there: {changed} changed" if changed else ""

    def _made_from(self, folder: Path) -> dict[str, str]:
        """What a training would be made from, as far as it is there."""
        told: dict[str, str] = {}
        train, dev = self.corpus.train, self.corpus.dev
        needed = train.data / WAVES, dev.data / WAVES, train.dump / CODEC_FILE
        if all(path.is_file() for path in needed):
            told |= self.train.data.made_from(self.corpus)
        before = map(Path, read_json(folder / MADE_FROM))
        return told | contents(*(path for path in before if path.is_file()))

    def _decoded_from(self, run: PlannedRun, folder: Path) -> str:
        """What is not as it was when the run was decoded."""
        stamp = DecodeStamp.read(folder)
        before = from_values(BatchDecoder.Config, stamp.config, str(folder))
        if to_dict(before) != to_dict(self.decode):
            return "the configuration of stage 5"
        data = self.corpus.split(run.split).data
        if not (data / WAVES).is_file():
            return ""
        recordings = read_inputs(data, self.tasks, stamp.sample_rate)
        return "" if digest_of(recordings) == stamp.data else str(data)


def run_script(script: Path, arguments: Sequence[str]) -> int:
    """Run a script of Bash to its end; its status. What ends this process ends the script.

    >>> run_script(Path("/dev/null"), [])
    0
    """
    with subprocess.Popen(["bash", str(script), *arguments]) as process:
        try:
            return process.wait()
        except (StoppedError, KeyboardInterrupt):
            # Not by SIGKILL: what the script runs would go on without it.
            process.terminate()
            process.wait()
            raise


@dataclass(frozen=True)
class Comparison:
    """A list of systems, and where what comes of it is.

    Attributes:
        plan: the list.
        script: the stages of all recipes, which take the options of run.sh.
        results: folder of the results of this list; a folder for each system and seed below it.
    """

    plan: ComparisonList
    script: Path
    results: Path

    def run(self) -> None:
        """Make the runs that are missing, and the table anew after each of them; print it.

        1. Find the runs that have no results, or results that were made otherwise.
        2. Make them, seed by seed; one that fails does not keep the others from being made.

        Raises:
            AioError: runs failed, which are named, or stage 2 has not been run.
        """
        systems = {run.system: System(run) for run in self.plan.runs}
        tasks = next(iter(systems.values())).tasks
        reasons = []
        for run in self.plan.runs:
            why = systems[run.system].differs(run, run.folder(self.results))
            reasons.append((run, why))
        done = [run for run, why in reasons if not why]
        missing = [(run, why) for run, why in reasons if why]
        print(f"{len(reasons)} runs, of which {len(done)} are finished")

        for run, _ in missing:
            systems[run.system].check_stage_2()
        failed = []
        table = self._write_table(done, tasks)
        for number, (run, why) in enumerate(missing, start=1):
            print(f"run {number} of {len(missing)}: {run.title}: {why}", flush=True)
            if not self._make(run):
                failed.append(run.title)
                continue
            done.append(run)
            table = self._write_table(done, tasks)
        print(table, end="")
        if failed:
            problem = f"{len(failed)} of {len(missing)} runs failed: {'; '.join(failed)}"
            remedy = "Their messages are above; the same command runs them again"
            raise AioError(f"{problem}. {remedy}, and no others.")

    def _make(self, run: PlannedRun) -> bool:
        """Train, decode and score; whether run.sh says that it went well."""
        folder = run.folder(self.results)
        # Until it is done, these are results of neither.
        (folder / OPTIONS).unlink(missing_ok=True)
        if run_script(self.script, run.arguments(keep=folder)) != 0:
            return False
        write_json(folder / OPTIONS, run.told)
        return True

    def _write_table(self, done: Sequence[PlannedRun], tasks: Mapping[str, Task]) -> str:
        """The table of the runs that are there; empty where there are none."""
        systems: dict[str, list[KeptRun]] = {system: [] for system in self.plan.systems}
        # In the order of the list, whenever they were made.
        for run in self.plan.runs:
            if run in done:
                systems[run.system].append(KeptRun.read(run.folder(self.results)))
        if not done:
            return ""
        table = format_comparison(systems, tasks)
        lacking = [run.title for run in self.plan.runs if run not in done]
        if lacking:
            table += f"\nNot there yet: {'; '.join(lacking)}.\n"
        write_comparison(self.results, f"{self.results.name} on {self.plan.split}", table)
        return table
