"""RESULTS.md of a decode folder."""

from collections.abc import Sequence
from pathlib import Path

from aio_toolkit.files import atomic_path
from aio_toolkit.scoring.base import Column
from aio_toolkit.scoring.results import Results, TaskResult
from aio_toolkit.tables import NOTHING, interval_cell, markdown_table, value_cell

RESULTS_MD = "RESULTS.md"


def write_report(decode: Path, results: Results) -> str:
    """Write `RESULTS.md` and `results.json` in the decode folder; return the table."""
    table = format_table(results)
    level = 100 * results.intervals["level"]
    lines = [f"# Results on {results.data}", "", table]
    lines.append(f"Intervals: {level:.0f} % bootstrap over utterances.")
    lines += results.legend
    notes = []
    for task in results.tasks:
        notes += [f"- {task.name}: {note}" for note in task.notes]
    if notes:
        lines += ["", *notes]

    text = "\n".join(lines) + "\n"
    with atomic_path(decode / RESULTS_MD) as temporary:
        temporary.write_text(text, encoding="utf-8")
    # Last: who finds it finds the report too.
    results.write(decode)
    return table


def format_table(results: Results) -> str:
    """A row per task and metric, and below it one per target where there are several.

    Columns of the same title are one column, whatever the kind of answer.

    >>> from aio_toolkit.scoring.results import Interval, MetricInfo, Score
    >>> wer = MetricInfo("WER", "%", False, {}, "asr/scores.wer.tsv")
    >>> score = Score("hypothesis", "", "wer", "", Interval(9.5, 8.0, 11.0, n=40))
    >>> columns = [Column("score", "hypothesis")]
    >>> task = TaskResult(
    ...     "asr", {"wer": wer}, ["text"], columns, "hypothesis", 40, [score], notes=[]
    ... )
    >>> print(format_table(Results("data/test", 16000, {}, [], [task])), end="")
    | task | metric |           score | utts |
    | ---- | -----: | --------------: | ---: |
    | asr  |    WER | 9.5 [8.0, 11.0] |   40 |
    """
    titles: list[str] = []
    for task in results.tasks:
        titles += [column.title for column in task.columns]
    # Kinds of answer share columns, such as the score.
    titles = list(dict.fromkeys(titles))

    rows = []
    for task in results.tasks:
        for metric, info in task.metrics.items():
            cells = _cells(task, titles, metric)
            rows.append([task.name, info.title, *cells])
            # A lone target is the task.
            targets = task.targets if len(task.targets) > 1 else []
            for target in targets:
                cells = _cells(task, titles, metric, target)
                rows.append([f"- {target}", "", *cells])
    header = ["task", "metric", *titles, "utts"]
    return markdown_table(header, rows)


def _cells(task: TaskResult, titles: Sequence[str], metric: str, target: str = "") -> list[str]:
    """The scores below some titles, and the number of utterances that count."""
    by_title = {column.title: column for column in task.columns}
    cells = []
    for title in titles:
        column = by_title.get(title)
        cells.append(_cell(task, column, metric, target))

    # Not all utterances of the task: some may have nothing but silence for references.
    of_model = task.ranking
    interval = task.find(of_model, metric, target)
    count = 0 if interval is None else interval.n
    return [*cells, str(count)]


def _cell(task: TaskResult, column: Column | None, metric: str, target: str) -> str:
    # Other kinds of answer have columns that this one lacks.
    if column is None:
        return NOTHING
    interval = task.find(column.output, metric, target, column.over)
    if column.with_interval:
        return interval_cell(interval)
    return value_cell(interval)
