"""Systems against the first of them, task by task, over all seeds that there are.

Letters: n utterances, C clusters of them, S seeds, K numbers of an utterance by a metric.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from aio_toolkit import parts
from aio_toolkit.analysis.kept_run import KeptRun
from aio_toolkit.errors import AioError
from aio_toolkit.scoring.differences import (
    Estimate,
    cluster_sums,
    difference,
    holm,
    mark,
    mean,
    pseudo_values,
)
from aio_toolkit.scoring.intervals import Interval, Statistic, score_interval
from aio_toolkit.scoring.metrics.base import Metric
from aio_toolkit.scoring.results import TaskResult
from aio_toolkit.scoring.utterance_sums import UtteranceSums
from aio_toolkit.tasks import Task, get_task

# The runs of each system, by its name.
Systems = Mapping[str, Sequence[KeptRun]]


@dataclass(frozen=True)
class Cell:
    """What is known of a system in a task.

    Attributes:
        num_seeds: runs that were scored in it.
        mean: over seeds; of a single run its score, with the interval over utterances alone.
        difference: to the first system; None of that system itself, or where it has no score.
        mark: what may be said of the difference; empty for nothing.
    """

    num_seeds: int
    mean: Estimate | Interval
    difference: Estimate | None = None
    mark: str = ""


@dataclass(frozen=True)
class ComparedTask:
    """A task in which systems are compared.

    Attributes:
        title: of the column of a table.
        direction: how to read it.
        higher_is_better: direction of the metric.
        cells: by system; those without a score are left out.
    """

    title: str
    direction: str
    higher_is_better: bool
    cells: Mapping[str, Cell]


def compare(systems: Systems, tasks: Mapping[str, Task]) -> list[ComparedTask]:
    """Compare systems by the first metric of every task, marks corrected for the number of all.

    Args:
        systems: their runs; the first system is the one that the others are compared with.
        tasks: tasks of the recipe, by name.

    Raises:
        AioError: runs were scored on different utterances or by different metrics, or their
            numbers are missing.
    """
    names: dict[str, None] = {}
    for runs in systems.values():
        for run in runs:
            names |= dict.fromkeys(task.name for task in run.results.tasks)
    first = next(iter(systems))
    return _marked([_compare_task(get_task(tasks, name), systems, first) for name in names], first)


@dataclass(frozen=True)
class _Scored:
    """A run in a task: its results, and the numbers of its utterances."""

    folder: str
    model: str
    result: TaskResult
    sums: UtteranceSums

    @property
    def numbers(self) -> np.ndarray:
        """The numbers (n, 2 K) of what ranks the model and of the input as it is, side by side;
        (n, K) where only the former is scored."""
        outputs = filter(None, [self.result.ranking, self.result.unprocessed])
        return np.hstack([self.sums.numbers[output] for output in outputs])

    def statistic(self, metric: Metric) -> Statistic:
        """What maps sums of these numbers to gains, or to scores."""
        if not self.result.unprocessed:
            return metric.value

        def gain(sums_RK: np.ndarray) -> np.ndarray:
            score_RK, unprocessed_RK = np.hsplit(sums_RK, 2)
            return metric.value(score_RK) - metric.value(unprocessed_RK)

        return gain


def _compare_task(task: Task, systems: Systems, first: str) -> ComparedTask:
    scored = {system: _scored(task.name, runs) for system, runs in systems.items()}
    everything = [run for runs in scored.values() for run in runs]
    metric = _metric(task, everything)
    known_n = _known(everything)
    values, cells = {}, {}
    for system, runs in scored.items():
        if runs and known_n.any():
            values[system] = np.stack([_pseudo_values(run, known_n, metric) for run in runs])
    for system, values_SC in values.items():
        one, num_seeds = scored[system][0], len(values_SC)
        found: Estimate | Interval = mean(values_SC)
        if num_seeds == 1:
            found = score_interval(one.numbers[known_n], one.statistic(metric))
        apart = None
        if system != first and first in values:
            models, of_first = ([run.model for run in scored[name]] for name in (system, first))
            # Where only decoding differs, seeds are pairs too.
            is_same = models == of_first
            first_SC = values[first]
            apart = mean(values_SC - first_SC) if is_same else difference(values_SC, first_SC)
        cells[system] = Cell(num_seeds, found, apart)
    title = _title(everything[0].result)
    return ComparedTask(title, metric.direction, metric.higher_is_better, cells)


def _scored(name: str, runs: Sequence[KeptRun]) -> list[_Scored]:
    """The runs that were scored in a task."""
    found = []
    for run in runs:
        result = run.task(name)
        if result is not None:
            found.append(_Scored(str(run.folder), run.model, result, run.sums(result)))
    return found


def _metric(task: Task, everything: Sequence[_Scored]) -> Metric:
    """The metric that all have, which is the task's first."""
    wanted = task.metrics[0]
    for run in everything:
        if run.result.first_metric != wanted:
            problem = f"{run.folder}: task {task.name} is scored by {run.result.first_metric}"
            raise AioError(f"{problem}, not by {wanted} as in tasks.yaml. Score it again.")
    return parts.find(Metric, wanted)(task)


def _known(everything: Sequence[_Scored]) -> np.ndarray:
    """Which utterances (n,) all runs have a score of."""
    one = everything[0]
    for run in everything:
        if run.sums.ids != one.sums.ids:
            problem = f"task {one.result.name}: {one.folder} and {run.folder} are of different data"
            raise AioError(f"{problem}. Decode and score the same split with all systems.")
    return ~np.isnan(np.hstack([run.numbers for run in everything])).any(axis=1)


def _pseudo_values(run: _Scored, known_n: np.ndarray, metric: Metric) -> np.ndarray:
    """The pseudo-values (C,) of a run, of the utterances that count."""
    clusters = np.array(run.sums.speakers)[known_n].tolist()
    sums_CK = cluster_sums(run.numbers[known_n], clusters)
    return pseudo_values(sums_CK, run.statistic(metric))


def _title(result: TaskResult) -> str:
    """`asr WER`; `sep gain dB`, as a gain over the input as it is has no other name."""
    info = result.metrics[result.first_metric]
    if result.unprocessed:
        return f"{result.name} gain {info.unit or info.title}"
    return f"{result.name} {info.title}"


def _marked(compared: Sequence[ComparedTask], first: str) -> list[ComparedTask]:
    """The same with a mark at every difference that has an interval."""
    p_values = {}
    for place, task in enumerate(compared):
        for system, cell in task.cells.items():
            if cell.difference is not None and cell.difference.p is not None:
                p_values[place, system] = cell.difference.p
    corrected = holm(p_values)

    marked = []
    for place, task in enumerate(compared):
        cells = dict(task.cells)
        for system, cell in task.cells.items():
            if cell.difference is None or (place, system) not in corrected:
                continue
            gain = cell.difference.value if task.higher_is_better else -cell.difference.value
            num_seeds = min(cell.num_seeds, cells[first].num_seeds)
            said = mark(gain, corrected[place, system], num_seeds)
            cells[system] = replace(cell, mark=said)
        marked.append(replace(task, cells=cells))
    return marked
