"""A split of a corpus: its data dir, and what stage 2 made of it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aio_toolkit.codec.base import CodecFingerprint, check_same
from aio_toolkit.data.datadir import Utterance, read_data_dir
from aio_toolkit.dump.arks import ArkReader
from aio_toolkit.dump.fingerprints import read_codec
from aio_toolkit.errors import AioError
from aio_toolkit.tasks import Task


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

    def utterances(self, tasks: Sequence[Task], may_lack: Collection[Task] = ()) -> list[Utterance]:
        """Utterances of some tasks, in the data dir's order.

        Args:
            tasks: the tasks.
            may_lack: those of them that do without utterances, as mixtures of them are made.

        Raises:
            AioError: the data dir is not valid, or a task has no utterance.
        """
        names = {task.name for task in tasks}
        chosen = [u for u in read_data_dir(self.data, self.tasks) if u.task.name in names]
        present = {u.task.name for u in chosen}
        absent = names - present - {task.name for task in may_lack}
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

    def codec(self) -> CodecFingerprint:
        """The codec of the dump, on whose frames all works."""
        return read_codec(self.dump)

    def check_codec(self, expected: CodecFingerprint, owner: str) -> None:
        """Refuse a dump of another codec than that of `owner`, which the message names."""
        check_same(expected, self.codec(), f"{self.dump} against {owner}")

    def codes(self, name: str) -> ArkReader:
        """Codes of the inputs (`wav`), or of a source; AioError where stage 2 made none."""
        return ArkReader(self.dump / f"codes_{name}.scp")


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
