"""The table of a comparison: a row for each system, a column for each task."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from aio_toolkit.analysis.comparison import Cell, ComparedTask, Systems, compare
from aio_toolkit.analysis.kept_run import KeptRun
from aio_toolkit.files import atomic_path
from aio_toolkit.models.cost import Cost
from aio_toolkit.scoring.differences import SEEDS_TO_CLAIM, SEEDS_TO_REJECT
from aio_toolkit.scoring.report import RESULTS_MD
from aio_toolkit.tables import NOTHING, decimal, interval_cell, markdown_table, value_cell
from aio_toolkit.tasks import Task

# What trainings took, by title, and how it is shown.
COSTS: dict[str, Callable[[Cost], float]] = {
    "steps": lambda cost: cost.steps,
    "audio h": lambda cost: cost.audio_seconds / 3600,
    "minutes": lambda cost: cost.seconds / 60,
    "parameters M": lambda cost: cost.parameters / 1e6,
    "active M": lambda cost: cost.active_parameters / 1e6,
}
# Decimals of the others: differences are smaller than scores.
DIGITS = {"steps": 0}
DIGITS_OF_DIFFERENCES = 2

LEGEND = f"""\
First row: mean over seeds with its 95 % interval. Other rows: mean, and in brackets the difference
to the first row with its 95 % interval, paired by utterance (and by seed where both decode the same
models), and a mark. These intervals hold the spread of seeds and that of utterances, those of a
speaker (utt2spk) taken together. A single seed has no such interval: its own is a bootstrap over
utterances, and nothing is said of differences.
Marks: better, worse, or no evidence, at 5 % for all marks of the table together (Holm), so that an
interval without 0 may be no evidence.
It takes {SEEDS_TO_REJECT} seeds of both systems for worse, {SEEDS_TO_CLAIM} for better.
steps, audio h (padding included), minutes: of stage 4, mean over seeds. Equal steps of equal
batches are equal data; for equal time give slower systems fewer steps. parameters M: all of the
model; active M: without those of the backbone that a token of one task does not use."""


def format_comparison(systems: Systems, tasks: Mapping[str, Task]) -> str:
    """The table of systems, and what a reader has to know.

    Args:
        systems: their runs; the first system is the one that the others are compared with.
        tasks: tasks of the recipe, by name.

    Raises:
        AioError: the runs cannot be compared.
    """
    compared = compare(systems, tasks)
    header = ["system", "seeds", *COSTS, *(task.title for task in compared)]
    rows = []
    for system, runs in systems.items():
        cells = [_cell(task, system) for task in compared]
        rows.append([system, str(len(runs)), *_costs(runs), *cells])
    directions = list(dict.fromkeys(task.direction for task in compared))
    return markdown_table(header, rows) + "\n" + "\n".join([*directions, LEGEND]) + "\n"


def write_comparison(folder: Path, title: str, text: str) -> None:
    """Write `RESULTS.md` of a comparison."""
    with atomic_path(folder / RESULTS_MD) as temporary:
        temporary.write_text(f"# {title}\n\n{text}", encoding="utf-8")


def _costs(runs: Sequence[KeptRun]) -> list[str]:
    """What the trainings of a system took, means over its seeds."""
    known = [run.cost for run in runs if run.cost is not None]
    if not known:
        return [NOTHING] * len(COSTS)
    cells = []
    for title, value in COSTS.items():
        mean = sum(map(value, known)) / len(known)
        cells.append(decimal(mean, DIGITS.get(title, 1)))
    return cells


def _cell(task: ComparedTask, system: str) -> str:
    cell = task.cells.get(system)
    if cell is None:
        return NOTHING
    if cell.difference is None:
        return interval_cell(cell.mean) if cell.mean.lo is not None else value_cell(cell.mean)
    return f"{value_cell(cell.mean)} ({_difference(cell)})"


def _difference(cell: Cell) -> str:
    """`+0.25 [0.05, 0.45], better`; without an interval the number alone."""
    found = cell.difference
    assert found is not None
    text = decimal(found.value, DIGITS_OF_DIFFERENCES)
    # Of a loss the sign is there.
    text = text if text.startswith("-") else f"+{text}"
    if found.lo is None:
        return text
    ends = [decimal(end, DIGITS_OF_DIFFERENCES) for end in (found.lo, found.hi)]
    return f"{text} [{', '.join(ends)}], {cell.mark}"
