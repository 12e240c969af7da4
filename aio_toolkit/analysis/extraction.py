"""Sub-networks for single tasks, cut out of a trained model and compared with it."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import torch

from aio_toolkit.analysis.extraction_report import Measured, Row, write_extraction
from aio_toolkit.analysis.routing import route_data_dir
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.inputs import read_inputs
from aio_toolkit.decoding.read import read_batch
from aio_toolkit.decoding.run import BatchDecoder, DecodeRun, decode_data_dir
from aio_toolkit.errors import AioError
from aio_toolkit.files import write_json
from aio_toolkit.layers import count_parameters
from aio_toolkit.models.aio import AioModel
from aio_toolkit.models.batch import Batch
from aio_toolkit.models.checkpoint import MODEL, LoadedAio, load_aio
from aio_toolkit.models.subnetwork import Kept, choose_experts, extract
from aio_toolkit.moe.base import Tables
from aio_toolkit.ranges import bounded
from aio_toolkit.scoring.run import ScoreRun, score_decode_dir
from aio_toolkit.tasks import Task, get_task

# Utterances that models are timed on, and how often they take turns.
TIMED_UTTERANCES, ROUNDS = 16, 5
# Folder and row of the model that all others are compared with.
WHOLE = "whole"


class Extraction:
    """Cuts models for single tasks out of a trained one."""

    @dataclass
    class Config:
        """Which experts are kept, and what the sub-networks are compared by.

        Attributes:
            min_load: a sub-network keeps the experts with more than this share of an even load; 0
                keeps all visited.
            max_experts: it keeps at most so many experts of a layer, the busiest; null: no limit.
            budgets: values of `max_experts` to compare in a table, whose sub-networks have no other
                limit.
            decode: how the sub-networks of that table are decoded.
        """

        min_load: float = bounded(0.0, least=0, most=1)
        max_experts: int | None = bounded(None, least=1)
        budgets: list[int] = bounded([], least=1)
        decode: BatchDecoder.Config = field(default_factory=BatchDecoder.Config)

    def __init__(
        self,
        config: Config,
        loaded: LoadedAio,
        tables: Tables,
        known: Mapping[str, Task],
        out: Path,
    ):
        """Make ready to cut.

        Args:
            config: options.
            loaded: the whole model.
            tables: its routing on data that is not the test data.
            known: all tasks that utterances may have, by name.
            out: folder of the sub-networks.

        Raises:
            AioError: a layer would keep no expert.
        """
        for limit in (config.max_experts, *config.budgets):
            if limit is not None and limit < 1:
                problem = f"keys 'max_experts' and 'budgets': {limit} experts are no layer"
                raise AioError(f"{problem}. Give one at least.")
        self.config = config
        self.loaded = loaded
        self.tables = tables
        self.known = known
        self.out = out

    def tasks(self, names: Sequence[str]) -> list[Task]:
        """The tasks of the model with these names, all for no names; AioError names a stranger."""
        known = {task.name: task for task in self.loaded.model.tasks}
        return [get_task(known, name) for name in names or known]

    def write(self, task: Task) -> str:
        """Write the sub-network of a task to `<out>/<task>`.

        Returns:
            A line that says how much of the model it is.

        Raises:
            AioError: the routing was measured without the task, or experts cannot be taken away.
        """
        small, kept = self._cut(task, self.config.min_load, self.config.max_experts)
        folder = self.out / task.name
        path = folder / MODEL
        small.save(path)
        write_json(folder / "kept_experts.json", kept)

        share = 100 * self._share(small)
        counts = [f"{name}:{len(experts)}" for name, experts in kept.items()]
        listed = " ".join(counts)
        return f"{path}: {share:.1f} % of the backbone's parameters, experts kept {listed}"

    def compare(self, tasks: Sequence[Task], test: Path, num_jobs: int = 1) -> str:
        """Extract each task with all experts that it visits and by every budget; score each.

        Args:
            tasks: tasks to extract.
            test: data dir to score on.
            num_jobs: processes that score.

        Returns:
            The table, which is also written to `<out>/EXTRACTION.md`.
        """
        # Saved anew beside the others, so that all are decoded and sized alike.
        self.loaded.save(self.out / WHOLE / MODEL)
        rows = []
        for task in tasks:
            trial = _Trial(task, test, num_jobs)
            rows.append(self._row_of_whole(trial))
            # No limit first, then ever tighter ones, in whatever order they were given.
            budgets = sorted(self.config.budgets, reverse=True)
            for limit in (None, *budgets):
                row = self._row(trial, limit)
                rows.append(row)
        return write_extraction(rows, test, self.out)

    def _row_of_whole(self, trial: "_Trial") -> Row:
        folder = self.out / WHOLE
        layers = self.loaded.model.backbone.moe_layers().values()
        return Row(
            task=trial.task.name,
            budget=WHOLE,
            experts=sum(layer.router.num_experts for layer in layers),
            share=1.0,
            num_bytes=_size(folder),
            speed=1.0,
            measured=self._measure(folder, trial),
        )

    def _row(self, trial: "_Trial", limit: int | None) -> Row:
        """Extract, save, time and score one sub-network."""
        task = trial.task
        budget = "visited" if limit is None else str(limit)
        folder = self.out / f"{task.name}_{budget}"
        # All that are visited may stay: one limit at a time is what the table is about.
        small, kept = self._cut(task, min_load=0.0, max_experts=limit)
        small.save(folder / MODEL)

        own = {task.name: task}
        found = read_inputs(trial.test, {**self.known, **own}, self.loaded.codec.sample_rate)
        utterances = [utterance for utterance in found if utterance.task.name == task.name]
        return Row(
            task=task.name,
            budget=budget,
            experts=sum(map(len, kept.values())),
            share=self._share(small),
            num_bytes=_size(folder),
            speed=time_ratio(self.loaded.model, small.model, utterances),
            measured=self._measure(folder, trial),
        )

    def _cut(self, task: Task, min_load: float, max_experts: int | None) -> tuple[LoadedAio, Kept]:
        """The sub-network of a task, and the experts that it keeps."""
        model = self.loaded.model
        names = [known.name for known in model.tasks]
        index = names.index(task.name)
        kept = choose_experts(self.tables, index, min_load, max_experts)
        small = extract(model, task, kept)
        return dataclasses.replace(self.loaded, model=small), kept

    def _share(self, small: LoadedAio) -> float:
        """The share of the backbone's parameters that a sub-network keeps."""
        whole = count_parameters(self.loaded.model.backbone)
        return count_parameters(small.model.backbone) / whole

    def _measure(self, folder: Path, trial: "_Trial") -> Measured:
        """Decode the task with the model of a folder, and score it."""
        decode, names = folder / "decode", [trial.task.name]
        run = DecodeRun(trial.test, decode, known=self.known, names=names)
        decode_data_dir(self.config.decode, folder, run)
        known = {**self.known, trial.task.name: trial.task}
        scored = ScoreRun(
            trial.test, decode, known, names, bounds=self.out / "bounds", num_jobs=trial.num_jobs
        )
        results = score_decode_dir(scored)
        # One task was named, and one is there.
        (result,) = results.tasks
        return Measured.of(result)


@dataclass(frozen=True)
class _Trial:
    """What models are compared on.

    Attributes:
        task: the task.
        test: the data.
        num_jobs: processes that score.
    """

    task: Task
    test: Path
    num_jobs: int


def _size(folder: Path) -> int:
    """Bytes of the checkpoint in a folder."""
    path = folder / MODEL
    return path.stat().st_size


def open_extraction(
    config: Extraction.Config, model_dir: Path, dev: Path, known: Mapping[str, Task], out: Path
) -> Extraction:
    """An extraction from a trained model, whose routing is measured on a data dir.

    Args:
        config: options.
        model_dir: folder of stage 4.
        dev: data dir that is not the test data.
        known: all tasks that utterances may have, by name.
        out: folder of the sub-networks.

    Raises:
        AioError: the model has no experts, or the data dir none of its tasks.
    """
    loaded = load_aio(model_dir / MODEL)
    if not loaded.model.backbone.moe_layers():
        remedy = "Give a model with experts."
        raise AioError(f"{model_dir} is dense: it has no experts to choose from. {remedy}")
    # Once for all tasks, each of which has its own row in the tables.
    tables = route_data_dir(loaded, dev, known)
    return Extraction(config, loaded, tables, known, out)


@torch.inference_mode()
def time_ratio(whole: AioModel, small: AioModel, utterances: Sequence[Utterance]) -> float:
    """Time of the whole model over that of the small one, on the first of some utterances.

    Both times are medians over rounds in which the models take turns, so that whatever else the
    machine does slows down both.
    """
    # A task's index differs between the models, which know different tasks.
    of_whole = read_batch(whole, utterances[:TIMED_UTTERANCES])
    of_small = read_batch(small, utterances[:TIMED_UTTERANCES])

    whole_times, small_times = [], []
    for _ in range(ROUNDS):
        whole_times.append(_seconds(whole, of_whole))
        small_times.append(_seconds(small, of_small))
    return median(whole_times) / median(small_times)


def _seconds(model: AioModel, batch: Batch) -> float:
    """How long a model takes up to its heads."""
    start = time.perf_counter()
    model.encode(batch)
    return time.perf_counter() - start
