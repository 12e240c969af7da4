"""A split of a corpus: its data dir, and what stage 2 made of it.

Letters: T frames, F feature bins.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from aio_toolkit.data.datadir import Utterance, read_data_dir
from aio_toolkit.dump.arks import ArkReader
from aio_toolkit.dump.fingerprints import Provenance, read_fingerprints
from aio_toolkit.errors import AioError
from aio_toolkit.tasks import Task

# The file of a dump that says how long its utterances are.
NUM_FRAMES = "utt2num_frames"


@dataclass(frozen=True)
class Split:
    """Where a split is.

    Attributes:
        data: data dir.
        dump: its dump.
        tasks: all tasks that utterances of the data dir may have, by name.

    >>> import tempfile
    >>> from aio_toolkit.data.datadir import write_data_dir
    >>> asr = Task("asr", "speech recognition", "text", ("text",), ("wer",))
    >>> spoken = Utterance("asr-1", asr, "ann", "1.wav", 16000, {"text": "good morning"})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     split = Split(Path(folder, "data"), Path(folder, "dump"), {"asr": asr})
    ...     write_data_dir(split.data, [spoken], split.tasks)
    ...     [utterance.id for utterance in split.utterances([asr])]
    ['asr-1']
    """

    data: Path
    dump: Path
    tasks: Mapping[str, Task]

    def utterances(self, tasks: Sequence[Task]) -> list[Utterance]:
        """Utterances of some tasks, in the data dir's order.

        Raises:
            AioError: the data dir is not valid, or a task has no utterance.
        """
        names = {task.name for task in tasks}
        chosen = [u for u in read_data_dir(self.data, self.tasks) if u.task.name in names]
        absent = names - {u.task.name for u in chosen}
        if absent:
            problem = f"{self.data} has no utterance of task {', '.join(sorted(absent))}"
            remedy = "Prepare data for it (stage 1), or leave it out (data.seconds, --tasks)."
            raise AioError(f"{problem}. {remedy}")
        return chosen

    def present_tasks(self) -> list[Task]:
        """The tasks that utterances of the data dir have, in the recipe's order."""
        utterances = read_data_dir(self.data, self.tasks)
        present = {utterance.task.name for utterance in utterances}
        return [task for name, task in self.tasks.items() if name in present]

    def provenance(self) -> Provenance:
        """The codec and the front end of the dump."""
        return read_fingerprints(self.dump)


@dataclass(frozen=True)
class Corpus:
    """Where the splits of a corpus are: `data/<split>` and `dump/<split>`.

    Attributes:
        data: folder of the data dirs.
        dump: folder of their dumps.
        tasks: all tasks that utterances may have, by name.
        train_set: name of the split to train on.
        dev_set: name of the split to validate on.

    >>> corpus = Corpus(Path("data"), Path("dump"), tasks={}, train_set="train_small")
    >>> str(corpus.train.data), str(corpus.dev.dump)
    ('data/train_small', 'dump/dev')
    """

    data: Path
    dump: Path
    tasks: Mapping[str, Task]
    train_set: str = "train"
    dev_set: str = "dev"

    @property
    def train(self) -> Split:
        """The split to train on."""
        return self.split(self.train_set)

    @property
    def dev(self) -> Split:
        """The split to validate on."""
        return self.split(self.dev_set)

    def split(self, name: str) -> Split:
        """The split of that name."""
        data, dump = self.data / name, self.dump / name
        return Split(data, dump, self.tasks)


class DumpDataset(Dataset[Any]):
    """Features of stage 2, joined with the data dir; subclasses make examples of them.

    Attributes:
        split: where it is read from.
        utterances: those of the chosen tasks, in the data dir's order.
        num_frames: frames of each.
        feats: their features (T, F), by id.
    """

    def __init__(self, split: Split, tasks: Sequence[Task]):
        """Open a split.

        Args:
            split: where it is.
            tasks: tasks whose utterances are read.

        Raises:
            AioError: stage 2 has not finished, or made the dump of other utterances.
        """
        self.split = split
        self.utterances = split.utterances(tasks)
        self.feats = ArkReader(split.dump / "feats.scp")

        # Lengths are asked for all at once, before any feature is read.
        num_frames = read_num_frames(split.dump)
        for utterance in self.utterances:
            if utterance.id not in num_frames:
                path = split.dump / NUM_FRAMES
                raise AioError(f"{path} lacks {utterance.id} of {split.data}. Run stage 2 again.")
        self.num_frames = [num_frames[utterance.id] for utterance in self.utterances]

    def __len__(self) -> int:
        return len(self.utterances)


def read_num_frames(dump: Path) -> dict[str, int]:
    """Frames of every utterance of a dumped split.

    Raises:
        AioError: stage 2 has not finished.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, NUM_FRAMES).write_text("asr-1 50\\nasr-2 61\\n")
    ...     read_num_frames(Path(folder))
    {'asr-1': 50, 'asr-2': 61}
    """
    path = dump / NUM_FRAMES
    if not path.is_file():
        raise AioError(f"{path} does not exist. Run stage 2 (tokenization) first.")
    num_frames = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        key, count = line.split()
        num_frames[key] = int(count)
    return num_frames
