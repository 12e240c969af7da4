"""RESULTS.md of a decode folder, and tables of several of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from aio_toolkit.files import atomic_path
from aio_toolkit.scoring.base import Column
from aio_toolkit.scoring.results import RESULTS_JSON, Results, TaskResult, read_results
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


def combine(paths: Sequence[Path]) -> str:
    """One table of several experiments, a row each: all outputs of the model, by the first metric.

    Args:
        paths: decode folders, or the `results.json` in them.

    Raises:
        AioError: one is missing or of another version.
    """
    experiments: dict[str, Results] = {}
    titles: dict[tuple[str, str], str] = {}
    for path in paths:
        results = read_results(path)
        # An experiment is called by its folder.
        folder = path.parent if path.name == RESULTS_JSON else path
        experiments[str(folder)] = results
        for task in results.tasks:
            titles |= _titles(task)

    rows = []
    for name, results in experiments.items():
        of_task = {task.name: task for task in results.tasks}
        cells = [_lookup(of_task, *column) for column in titles]
        rows.append([name, *cells])
    table = markdown_table(["experiment", *titles.values()], rows)

    datasets = {results.data for results in experiments.values()}
    if len(datasets) > 1:
        listed = ", ".join(sorted(datasets))
        table += f"\nDifferent data, not comparable: {listed}\n"
    return table


def _titles(task: TaskResult) -> dict[tuple[str, str], str]:
    """Title by task and output, of every output of the model."""
    info = task.metrics[task.first_metric]
    outputs = []
    for column in task.columns:
        # Bounds have no interval, and gains would say the same again.
        if column.with_interval and not column.over:
            outputs.append(column.output)
    if len(outputs) == 1:
        return {(task.name, outputs[0]): f"{task.name} {info.title}"}

    # Shorter than the metric's title, and as clear beside the output.
    measure = info.unit or info.title
    titles = {}
    for output in outputs:
        titles[task.name, output] = f"{task.name} {output} {measure}"
    return titles


def _lookup(of_task: Mapping[str, TaskResult], name: str, output: str) -> str:
    task = of_task.get(name)
    if task is None:
        return NOTHING
    return interval_cell(task.find(output))
