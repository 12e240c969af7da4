"""What is kept of a run that was trained, decoded and scored: small enough for a repository.

Of a decode folder and the experiment folder around it these are the results, the numbers of single
utterances behind them, what the training took, and what all of it was made from.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from aio_toolkit.answers.decode_stamp import STAMP, DecodeStamp
from aio_toolkit.files import atomic_path
from aio_toolkit.models.cost import COST, Cost
from aio_toolkit.scoring.results import RESULTS_JSON, Results, TaskResult, read_results
from aio_toolkit.scoring.utterance_sums import UtteranceSums, sums_file


def keep_run(decode: Path, folder: Path) -> None:
    """Copy what is kept of a decode folder, in its experiment folder, to a folder of its own.

    Raises:
        AioError: it has not been scored.
    """
    # Imported here: kept runs are read on machines that cannot train.
    from aio_toolkit.training.run import CONFIG, MADE_FROM

    results = read_results(decode)
    paths = [decode.parent / name for name in (CONFIG, MADE_FROM, COST)]
    for task in results.tasks:
        paths += [decode / sums_file(task.name, metric) for metric in task.metrics]
    # The results come last: who finds them finds the rest.
    for path in [*paths, decode / STAMP, decode / RESULTS_JSON]:
        base = decode if path.is_relative_to(decode) else decode.parent
        # Trainings of earlier versions did not tell what they took.
        if path.is_file():
            with atomic_path(folder / path.relative_to(base)) as temporary:
                shutil.copyfile(path, temporary)


@dataclass(frozen=True)
class KeptRun:
    """A run as it was kept, or as it stands in a decode folder.

    Attributes:
        folder: one of these.
        results: its results.
        model: what tells the model that was decoded from others.
        cost: what the training took; None where nobody tells.
    """

    folder: Path
    results: Results
    model: str
    cost: Cost | None

    @classmethod
    def read(cls, folder: Path) -> "KeptRun":
        """Read a folder that `keep_run` wrote, or a decode folder.

        Raises:
            AioError: it has not been scored.
        """
        results, model = read_results(folder), DecodeStamp.read(folder).model
        return cls(folder, results, model, Cost.read(folder) or Cost.read(folder.parent))

    def task(self, name: str) -> TaskResult | None:
        """The results of a task; None where it was not scored."""
        return next((task for task in self.results.tasks if task.name == name), None)

    def sums(self, task: TaskResult) -> UtteranceSums:
        """The numbers of the utterances of a task by its first metric.

        Raises:
            AioError: they are missing or damaged.
        """
        return UtteranceSums.read(self.folder / sums_file(task.name, task.first_metric))
