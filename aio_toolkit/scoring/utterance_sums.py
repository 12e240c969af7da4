"""The numbers of single utterances behind the score that ranks a model.

They are kept in full and without what only explains a score, so that runs can be compared,
utterance by utterance, when their answers are long gone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path

# Digits that a difference of two runs may need.
DIGITS = 7


def sums_file(task: str, metric: str) -> str:
    """Where the numbers by a metric are, from the decode folder.

    >>> sums_file("asr", "wer")
    'asr/sums.wer.tsv'
    """
    return f"{task}/sums.{metric}.tsv"


@dataclass(frozen=True)
class UtteranceSums:
    """Numbers of n utterances by one metric, means over the targets of each.

    Attributes:
        ids: the utterances.
        speakers: the speaker, song or recipe of each, as `utt2spk` has it.
        numbers: K numbers of each (n, K), by output; NaN where nothing could be scored.

    >>> import tempfile
    >>> kept = UtteranceSums(["asr-1"], ["ann"], {"hypothesis": np.array([[4.0, 1.0]])})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     kept.write(Path(folder, "sums.tsv"), ["words"])
    ...     print(Path(folder, "sums.tsv").read_text().splitlines()[0].split())
    ...     UtteranceSums.read(Path(folder, "sums.tsv")).numbers
    ['utterance', 'speaker', 'hypothesis.words', 'hypothesis.2']
    {'hypothesis': array([[4., 1.]])}
    """

    ids: list[str]
    speakers: list[str]
    numbers: dict[str, np.ndarray]

    def write(self, path: Path, columns: Sequence[str]) -> None:
        """Write a line for each utterance; `columns` names the first of the K numbers."""
        header = ["utterance", "speaker"]
        for output, stats_nK in self.numbers.items():
            unnamed = range(len(columns) + 1, stats_nK.shape[1] + 1)
            named = [*columns, *map(str, unnamed)][: stats_nK.shape[1]]
            header += [f"{output}.{column}" for column in named]
        rows = np.hstack(list(self.numbers.values()))
        lines = [header]
        for id, speaker, row in zip(self.ids, self.speakers, rows, strict=True):
            lines.append([id, speaker, *(f"{number:.{DIGITS}g}" for number in row)])
        text = "".join("\t".join(cells) + "\n" for cells in lines)
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "UtteranceSums":
        """Read what `write` wrote.

        Raises:
            AioError: the file is missing or damaged.
        """
        remedy = "Run stage 6 (scoring) again."
        if not path.is_file():
            raise AioError(f"{path} does not exist. {remedy}")
        header, *rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
        try:
            cells = np.array([row[2:] for row in rows], dtype=np.float64)
        except ValueError:
            raise AioError(f"{path} is damaged. {remedy}") from None
        outputs = [title.rpartition(".")[0] for title in header[2:]]
        numbers = {}
        for output in dict.fromkeys(outputs):
            numbers[output] = cells[:, [output == other for other in outputs]]
        return cls([row[0] for row in rows], [row[1] for row in rows], numbers)
