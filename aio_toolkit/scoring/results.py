"""The results of stage 6, as they are kept in `results.json`."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aio_toolkit.errors import AioError
from aio_toolkit.files import read_json, write_json
from aio_toolkit.scoring.base import Column
from aio_toolkit.scoring.intervals import Interval

RESULTS_JSON = "results.json"
# What the weights of the model were kept in.
FULL, HALF = "float32", "float16"


@dataclass(frozen=True)
class MetricInfo:
    """How to read the scores by a metric.

    Attributes:
        title: name in tables.
        unit: unit in tables; empty without one.
        higher_is_better: direction.
        conventions: constants that scores depend on.
        per_utterance: file of the scores of single utterances, from the decode folder.
    """

    title: str
    unit: str
    higher_is_better: bool
    conventions: dict[str, float]
    per_utterance: str


@dataclass(frozen=True)
class Score:
    """One number of the results.

    Attributes:
        output: an output of the model, a bound, or the input.
        target: the part of the answer; empty for the task as a whole, whose utterances score the
            mean over their targets.
        metric: its name.
        over: the output whose score is subtracted; empty for none.
        interval: the number.
    """

    output: str
    target: str
    metric: str
    over: str
    interval: Interval

    @property
    def place(self) -> tuple[str, str, str, str]:
        """What it is of, without the number."""
        return self.output, self.target, self.metric, self.over


@dataclass(frozen=True)
class TaskResult:
    """The results of one task.

    Attributes:
        name: the task.
        metrics: how to read its metrics, by their names.
        targets: parts of its answer.
        columns: what tables show.
        ranking: the output of the model that ranks it.
        num_utterances: utterances of the task, with those that could not be scored.
        scores: all numbers.
        notes: what a reader should know besides.
        unprocessed: the output that is the input as it is, over which models gain; empty for none.

    >>> wer = MetricInfo("WER", "%", False, {}, "asr/scores.wer.tsv")
    >>> score = Score("hypothesis", "", "wer", "", Interval(9.5, 8.0, 11.0, n=40))
    >>> columns = [Column("score", "hypothesis")]
    >>> result = TaskResult(
    ...     "asr", {"wer": wer}, ["text"], columns, "hypothesis", 40, [score], notes=[]
    ... )
    >>> result.value("hypothesis")
    9.5
    >>> result.find("hypothesis", target="text") is None  # a lone target is the task
    True
    """

    name: str
    metrics: dict[str, MetricInfo]
    targets: list[str]
    columns: list[Column]
    ranking: str
    num_utterances: int
    scores: list[Score]
    notes: list[str]
    unprocessed: str = ""

    @property
    def first_metric(self) -> str:
        """Name of the metric that chooses and ranks."""
        return next(iter(self.metrics))

    def find(
        self, output: str, metric: str = "", target: str = "", over: str = ""
    ) -> Interval | None:
        """A score, by the first metric unless told otherwise; None if there is none.

        Args:
            output: what is scored.
            metric: name of a metric; empty for the first.
            target: a part of the answer; empty for the task as a whole.
            over: what is subtracted; empty for nothing.
        """
        metric = metric or self.first_metric
        wanted = (output, target, metric, over)
        for score in self.scores:
            if score.place == wanted:
                return score.interval
        return None

    def value(self, output: str, over: str = "") -> float:
        """The value of an output by the first metric.

        Raises:
            AioError: there is none.
        """
        found = self.find(output, over=over)
        if found is None or found.value is None:
            remedy = "Run stage 6 (scoring) again."
            raise AioError(f"task {self.name} has no score of {output}. {remedy}")
        return found.value


@dataclass(frozen=True)
class Results:
    """The results of a decode folder.

    Attributes:
        data: the data dir that it was scored against.
        sample_rate: Hz at which audio was compared.
        intervals: how intervals were made: `level`, `resamples`, `seed`.
        legend: what a reader has to know of metrics and columns, a paragraph each.
        tasks: results by task.
        weights: what the model's weights were kept in, `FULL` or `HALF`.
    """

    data: str
    sample_rate: int
    intervals: dict[str, float]
    legend: list[str]
    tasks: list[TaskResult]
    weights: str = FULL

    def write(self, folder: Path) -> None:
        """Write `results.json`."""
        content = dataclasses.asdict(self)
        write_json(folder / RESULTS_JSON, content)


def read_results(path: Path) -> Results:
    """Read the results of a decode folder, or of its `results.json`.

    Raises:
        AioError: the file is missing or of another version.

    >>> import tempfile
    >>> results = Results("data/test", 16000, {"level": 0.95}, ["WER in %."], tasks=[])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     results.write(Path(folder))
    ...     read_results(Path(folder)) == results
    True
    """
    path = path / RESULTS_JSON if path.is_dir() else path
    content = read_json(path)
    try:
        tasks = [_to_task(task) for task in content.pop("tasks")]
        return Results(tasks=tasks, **content)
    except (AttributeError, KeyError, TypeError):
        # A missing, surplus or misplaced key ends as one of these.
        remedy = "Run stage 6 (scoring) again."
        raise AioError(f"{path} is not a results file of stage 6. {remedy}") from None


def _to_task(content: dict[str, Any]) -> TaskResult:
    metrics = {}
    for name, info in content["metrics"].items():
        metrics[name] = MetricInfo(**info)
    columns = [Column(**column) for column in content["columns"]]
    scores = []
    for score in content["scores"]:
        interval = Interval(**score.pop("interval"))
        scores.append(Score(**score, interval=interval))
    nested = {
        "metrics": metrics,
        "columns": columns,
        "scores": scores,
    }
    return TaskResult(**content | nested)
