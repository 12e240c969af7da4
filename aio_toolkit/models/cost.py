"""What a training took, kept beside its model: systems are compared at equal time or equal data."""

from dataclasses import asdict, dataclass
from pathlib import Path

from aio_toolkit.files import read_json, write_json

COST = "cost.json"


@dataclass(frozen=True)
class Cost:
    """What a training took.

    Attributes:
        steps: optimizer steps.
        seconds: from the first step to the last validation. Of a run that went on after an
            interruption, what one that was not interrupted would have taken.
        audio_seconds: audio in all batches, padding included.
        parameters: of the whole model, its frozen encoder included.
        active_parameters: the same without those of the backbone that a token of one task does not
            use.

    >>> import tempfile
    >>> cost = Cost(1450, 576.0, 47270.0, 9_000_000, 5_000_000)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cost.write(Path(folder))
    ...     Cost.read(Path(folder)) == cost
    True
    """

    steps: int
    seconds: float
    audio_seconds: float
    parameters: int
    active_parameters: int

    def write(self, folder: Path) -> None:
        """Write it to the folder of the training."""
        write_json(folder / COST, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> "Cost | None":
        """Read it; None where a training of an earlier version did not tell."""
        path = folder / COST
        return cls(**read_json(path)) if path.is_file() else None
