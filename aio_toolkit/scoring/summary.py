"""From the numbers of single utterances to the results of a task.

Letters: n utterances, K numbers of each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aio_toolkit.data.datadir import Utterance
from aio_toolkit.files import atomic_path
from aio_toolkit.scoring.base import Column, Key, Scorer, Sums
from aio_toolkit.scoring.intervals import score_interval
from aio_toolkit.scoring.metrics.base import Metric
from aio_toolkit.scoring.results import MetricInfo, Score, TaskResult
from aio_toolkit.scoring.utterance_sums import UtteranceSums, sums_file


@dataclass(frozen=True)
class ScoredTask:
    """What was scored of a task.

    Attributes:
        scorer: the scorer of the task.
        utterances: its utterances.
        sums: the numbers of each.

    >>> two_targets = {
    ...     Key("codec", "spk1", "si_sdr"): np.array([4.0, 1.0]),
    ...     Key("codec", "spk2", "si_sdr"): np.array([6.0, 1.0]),
    ... }
    >>> scored = ScoredTask(scorer=None, utterances=[], sums=[two_targets])
    >>> scored.numbers("codec", "si_sdr")
    array([[5., 1.]])
    >>> scored.numbers("codec", "si_sdr", "spk2")
    array([[6., 1.]])
    """

    scorer: Scorer
    utterances: Sequence[Utterance]
    sums: Sequence[Sums]

    @property
    def outputs(self) -> list[str]:
        """What was scored, in the scorer's order."""
        found: dict[str, None] = {}
        for sums in self.sums:
            for key in sums:
                found[key.output] = None
        return list(found)

    @property
    def columns(self) -> list[Column]:
        """What tables can show: the columns whose outputs are there."""
        present = {"", *self.outputs}
        return [c for c in self.scorer.columns if {c.output, c.over} <= present]

    @property
    def ranking(self) -> str:
        """The output of the model that ranks it."""
        present = self.outputs
        return next(output for output in self.scorer.outputs if output in present)

    @property
    def unprocessed(self) -> str:
        """The output that is the input as it is; empty where there is none."""
        wanted = self.scorer.unprocessed
        return wanted if wanted in self.outputs else ""

    def numbers(self, output: str, metric: str, target: str = "") -> np.ndarray:
        """The numbers (n, K) of every utterance; NaN where it has nothing to be scored.

        Without a target these are the means over all targets that can be scored.
        """
        rows = []
        for sums in self.sums:
            row_K = _mean(sums, output, metric, target)
            rows.append(row_K)
        # A single NaN stands for as many numbers as the others have.
        num_columns = max(len(row_K) for row_K in rows)
        return np.stack([np.broadcast_to(row_K, num_columns) for row_K in rows])

    def count_unscorable(self, metric: str) -> int:
        """References that a metric cannot score, whatever the estimate."""
        count = 0
        for sums in self.sums:
            # Several outputs lack the score of the same reference.
            targets = set()
            for key, sums_K in sums.items():
                if key.metric == metric and np.isnan(sums_K).any():
                    targets.add(key.target)
            count += len(targets)
        return count


def summarize(scored: ScoredTask, decode: Path) -> TaskResult:
    """The results of a task; scores of single utterances go to `<task>/scores.<metric>.tsv`, the
    numbers behind them to `<task>/sums.<metric>.tsv`.

    Args:
        scored: its numbers.
        decode: decode folder.
    """
    scorer = scored.scorer
    task = scorer.task
    infos: dict[str, MetricInfo] = {}
    scores: list[Score] = []
    notes: list[str] = []
    for name, metric in scorer.metrics.items():
        table = f"{task.name}/scores.{name}.tsv"
        write_utterances(decode / table, scored, name)
        write_sums(decode / sums_file(task.name, name), scored, name)
        infos[name] = MetricInfo(
            title=metric.title,
            unit=metric.unit,
            higher_is_better=metric.higher_is_better,
            conventions=dict(metric.conventions),
            per_utterance=table,
        )
        scores += _scores(scored, name)
        notes += _notes(scored, name)

    return TaskResult(
        name=task.name,
        metrics=infos,
        targets=list(task.targets),
        columns=scored.columns,
        ranking=scored.ranking,
        num_utterances=len(scored.utterances),
        scores=scores,
        # Several metrics may have the same to say of the references.
        notes=list(dict.fromkeys(notes)),
        unprocessed=scored.unprocessed,
    )


def write_utterances(path: Path, scored: ScoredTask, name: str) -> None:
    """Write a line for each utterance and target: the numbers of one metric for every output."""
    metric = scored.scorer.metrics[name]
    outputs = scored.outputs
    header = ["utterance", "target"]
    for output in outputs:
        # The shortest titles that tell the columns apart.
        if len(metric.columns) == 1:
            header.append(output)
        elif len(outputs) == 1:
            header += metric.columns
        else:
            header += [f"{output}.{column}" for column in metric.columns]

    lines = [header]
    for utterance, sums in zip(scored.utterances, scored.sums, strict=True):
        targets = dict.fromkeys(key.target for key in sums)
        for target in targets:
            cells = [utterance.id, target]
            for output in outputs:
                key = Key(output, target, name)
                cells += _cells(sums[key], metric)
            lines.append(cells)

    rows = ["\t".join(cells) + "\n" for cells in lines]
    with atomic_path(path) as temporary:
        temporary.write_text("".join(rows), encoding="utf-8")


def write_sums(path: Path, scored: ScoredTask, name: str) -> None:
    """Write what comparisons with other runs need of each utterance, by one metric."""
    ids = [utterance.id for utterance in scored.utterances]
    speakers = [utterance.speaker for utterance in scored.utterances]
    outputs = filter(None, [scored.ranking, scored.unprocessed])
    numbers = {output: scored.numbers(output, name) for output in outputs}
    UtteranceSums(ids, speakers, numbers).write(path, scored.scorer.metrics[name].columns)


def _cells(sums_K: np.ndarray, metric: Metric) -> list[str]:
    cells = []
    # Numbers without a name only serve the sums.
    for number in sums_K[: len(metric.columns)]:
        cell = metric.unscorable
        if not np.isnan(number):
            cell = f"{number:.{metric.digits}f}"
        cells.append(cell)
    return cells


def _mean(sums: Sums, output: str, metric: str, target: str) -> np.ndarray:
    """Mean numbers (K,) over the targets of an utterance, or those of one; NaN without any."""
    found = []
    for key, sums_K in sums.items():
        if (key.output, key.metric) != (output, metric):
            continue
        # What cannot be scored must not count as zero.
        if target in ("", key.target) and not np.isnan(sums_K).any():
            found.append(sums_K)
    if not found:
        return np.array([np.nan])
    return np.mean(found, axis=0)


def _scores(scored: ScoredTask, name: str) -> list[Score]:
    """The scores and gains of every output, for the task and for each of several targets."""
    scorer = scored.scorer
    metric = scorer.metrics[name]
    targets = scorer.task.targets
    # A lone target is the task.
    parts = ["", *targets] if len(targets) > 1 else [""]

    scores = []
    for output in scored.outputs:
        overs = [column.over for column in scored.columns if column.output == output]
        for part in parts:
            stats_nK = scored.numbers(output, name, part)
            interval = score_interval(stats_nK, metric.value)
            scores.append(Score(output, part, name, "", interval))
            for over in filter(None, overs):
                over_nK = scored.numbers(over, name, part)
                gain = score_interval(stats_nK, metric.value, over_nK)
                scores.append(Score(output, part, name, over, gain))
    return scores


def _notes(scored: ScoredTask, name: str) -> list[str]:
    """What the metric says of the model's answers, and how many references it could not score."""
    metric = scored.scorer.metrics[name]
    # Of its bounds and of the input there is nothing to note.
    of_model = scored.ranking
    stats_nK = scored.numbers(of_model, name)
    missing_n = np.isnan(stats_nK).any(axis=1)
    notes = []
    if not missing_n.all():
        sums_K = stats_nK[~missing_n].sum(0)
        notes.append(metric.note(sums_K))
    count = scored.count_unscorable(name)
    if count:
        notes.append(f"{count} {metric.unscorable} references are not scored.")
    return [note for note in notes if note]
