"""What sub-networks lose and gain against the whole model: the rows of their table."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aio_toolkit.files import atomic_path
from aio_toolkit.scoring.results import TaskResult
from aio_toolkit.tables import NOTHING, decimal, markdown_table

HEADER = ["task", "budget", "experts", "backbone", "size MB", "speed", "score", "loss %"]
LEGEND = """\
experts = experts kept over all layers; backbone = share of the backbone's parameters kept; size =
the checkpoint's; speed = how many times faster than the whole model the encoder and backbone are on
the same utterances, one thread pool, medians of alternating runs; score = the task's first metric,
or the gain of the filtered output over the mixture in it; loss = how much worse the score is than
the whole model's, in per cent of it."""


@dataclass(frozen=True)
class Measured:
    """A score by the first metric of a task.

    Attributes:
        score: the score.
        higher_is_better: direction.
    """

    score: float
    higher_is_better: bool

    @classmethod
    def of(cls, result: TaskResult) -> "Measured":
        """What the table shows of a task's results.

        That is the gain of the output that ranks the model, over the input; its score where that
        has none.

        Raises:
            AioError: nothing could be scored.
        """
        gains = [c for c in result.columns if c.over and c.output == result.ranking]
        # The gain over the input comes first, those over floors after it.
        over = gains[0].over if gains else ""
        score = result.value(result.ranking, over)
        metric = result.metrics[result.first_metric]
        return cls(score, metric.higher_is_better)

    def loss(self, whole: "Measured") -> float | None:
        """How much worse than the whole model, in per cent of its score; None where that is zero.

        >>> whole = Measured(20.0, higher_is_better=False)  # a word error rate
        >>> Measured(25.0, higher_is_better=False).loss(whole)
        25.0
        """
        if whole.score == 0:
            return None
        worse = self.score - whole.score
        if self.higher_is_better:
            worse = -worse
        # Gains can be negative, and a worse one is still a loss.
        return 100 * worse / abs(whole.score)


@dataclass(frozen=True)
class Row:
    """A model in the table.

    Attributes:
        task: name of the task that is scored.
        budget: most experts of a layer that it may keep.
        experts: experts kept over all layers.
        share: share of the backbone's parameters kept.
        num_bytes: size of its checkpoint.
        speed: how many times faster than the whole model it is.
        measured: its score.
    """

    task: str
    budget: str
    experts: int
    share: float
    num_bytes: int
    speed: float
    measured: Measured

    def cells(self, whole: Measured) -> list[str]:
        """The row, beside the score of the whole model.

        >>> measured = Measured(30.0, higher_is_better=True)
        >>> row = Row("st", "4", 12, 0.469, num_bytes=25_400_000, speed=1.0, measured=measured)
        >>> row.cells(whole=Measured(40.0, higher_is_better=True))
        ['st', '4', '12', '46.9 %', '25.4', '1.00', '30.00', '+25.0']
        """
        # Megabytes as disks are sold, not mebibytes.
        megabytes = self.num_bytes / 1e6
        loss = self.measured.loss(whole)
        return [
            self.task,
            self.budget,
            str(self.experts),
            f"{100 * self.share:.1f} %",
            decimal(megabytes),
            decimal(self.speed, digits=2),
            decimal(self.measured.score, digits=2),
            _signed(loss),
        ]


def write_extraction(rows: Sequence[Row], data: Path, out: Path) -> str:
    """Write `EXTRACTION.md` to a folder.

    Args:
        rows: models; those of a task follow each other, the whole model first.
        data: the data dir that they were scored on.
        out: the folder.

    Returns:
        The table.
    """
    whole: dict[str, Measured] = {}
    cells = []
    for row in rows:
        # The first row of a task is what its others are compared with.
        first = whole.setdefault(row.task, row.measured)
        cells.append(row.cells(first))
    table = markdown_table(HEADER, cells)
    with atomic_path(out / "EXTRACTION.md") as temporary:
        text = f"# Sub-networks on {data}\n\n{table}\n{LEGEND}\n"
        temporary.write_text(text, encoding="utf-8")
    return table


def _signed(loss: float | None) -> str:
    if loss is None:
        return NOTHING
    # Adding zero turns -0.0 into 0.0.
    rounded = round(loss, 1) + 0.0
    return f"{rounded:+.1f}"
