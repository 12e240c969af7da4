"""The contract of a kind of answer.

A kind is one file here and one of the same name in `heads/`, `decoding/` and `scoring/`. Letters
used in this folder: B batch, N sources, T frames, S samples, Q codebooks, V codes, C latent
channels, L tokens.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from aio_toolkit.answers.units_files import load_state, save_state
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.mixtures import Mixture
from aio_toolkit.data.spans import Span
from aio_toolkit.errors import AioError
from aio_toolkit.tasks import Task


class Units(ABC):
    """What the answers of a kind are made of: a vocabulary, the vectors of a codec, labels.

    Fitted in stage 2, kept in every checkpoint.
    """

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Plain values and tensors, for a checkpoint."""

    @classmethod
    @abstractmethod
    def from_state(cls, state: dict[str, Any]) -> "Units":
        """The units that `state` came from; where it went through a pack, tuples are lists."""

    def needed(self, wanted: Collection[str]) -> "Units":
        """What of them a finished model needs; all, unless a kind of answer knows better.

        Args:
            wanted: what its head learnt from, see `Head.wanted`.
        """
        return self

    def pack(self, folder: Path) -> None:
        """Write them to a folder of a pack; a kind may have a format that people know better."""
        save_state(self.state(), folder)

    @classmethod
    def unpack(cls, folder: Path) -> "Units":
        """The units that `pack` wrote; AioError where they are missing or damaged."""
        return cls.from_state(load_state(folder))

    @abstractmethod
    def check_same(self, other: "Units", where: str) -> None:
        """Raise AioError, which `where` opens, if answers in `other` are not answers in these."""


@dataclass(frozen=True)
class TargetSource:
    """Where a reader finds the answers of one kind in a split.

    Attributes:
        dump: what stage 2 made of the split.
        utterances: those of the split that are of tasks with this kind of answer.
        wanted: what the head learns from, see `Head.wanted`.
        sample_rate: Hz of waves.
    """

    dump: Path
    utterances: Sequence[Utterance]
    wanted: frozenset[str]
    sample_rate: int


class TargetReader(ABC):
    """Reads the answers of the utterances of one split, for training."""

    @abstractmethod
    def read(self, utterance: Utterance, span: Span) -> Any:
        """The answer of an utterance.

        Args:
            utterance: one of the split.
            span: the stretch of the input that the example holds; all of it unless the kind
                `can_be_cut`.
        """


class AnswerKind(ABC):
    """What all tasks with this kind of answer have in common. It has no state.

    Attributes:
        units: the class of its units.
        can_be_cut: whether a stretch of the input has a stretch of the answer, so that training may
            draw segments.

    >>> from aio_toolkit.tasks import load_tasks
    >>> tasks = load_tasks(Path("egs/TEMPLATE/conf/tasks.yaml"))
    >>> kind = tasks["sound"].kind
    >>> kind.required(tasks["sound"])
    ('sound1', 'sound2')
    >>> kind.file_of("sound1")
    'sound1.scp'
    """

    units: ClassVar[type[Units]]
    can_be_cut: ClassVar[bool] = False

    @dataclass
    class Config:
        """Options of a task, in the section of the kind's name in `tasks.yaml`: none."""

    @dataclass
    class Fit:
        """Options of fitting the units in stage 2: none."""

    # ---- data dirs

    @abstractmethod
    def file_of(self, target: str) -> str:
        """Name of the file of a data dir that holds a target."""

    @abstractmethod
    def check_task(self, task: Task) -> str | None:
        """What is wrong with a task's targets and options, or None."""

    def required(self, task: Task) -> tuple[str, ...]:
        """The targets that every utterance of a task must have: all, unless a kind overrides it."""
        return task.targets

    def waves(self, utterance: Utterance, sample_rate: int) -> dict[str, np.ndarray]:
        """The waves (S,) of an answer, by source, that stage 2 turns into codes: none.

        Args:
            utterance: an utterance with its answer.
            sample_rate: Hz to read at.
        """
        return {}

    # ---- stage 2

    @abstractmethod
    def fit(
        self, tasks: Sequence[Task], utterances: Sequence[Utterance], options: Any, folder: Path
    ) -> Units:
        """Fit the units and write them to `folder`; what an earlier call finished is kept.

        Args:
            tasks: all tasks with this kind of answer, whether there are utterances of them or not.
            utterances: those of the training split that have an answer to one of the tasks, be it
                beside that of their own.
            options: an instance of `Fit`.
            folder: the units' folder.

        Raises:
            AioError: the units cannot be made, or others are in the folder.
        """

    @abstractmethod
    def load_units(self, folder: Path) -> Units:
        """Read the units that `fit` wrote; AioError where they are missing or damaged."""

    # ---- training

    @abstractmethod
    def open(self, source: TargetSource, units: Any) -> TargetReader:
        """A reader of the answers of a split, in some units."""

    def rendered(self, task: Task, mixture: Mixture) -> Any:
        """The answer to a mixture that was made on the fly, as a reader would give it.

        Raises:
            AioError: mixtures have no such answer.
        """
        problem = f"data.mixing.{task.name}: the answer to a mixture is no {task.output}"
        raise AioError(f"{problem}. Remove the rule.")

    @abstractmethod
    def collate(self, targets: Sequence[Any], num_samples: int, hop: int) -> Any:
        """One padded batch of answers.

        Args:
            targets: what readers gave.
            num_samples: length of the inputs with their padding.
            hop: samples of a frame.
        """

    # ---- decoded answers, in the folder of a task

    @abstractmethod
    def write(self, folder: Path, utterance: Utterance, answer: Any) -> None:
        """Write a decoded answer so that `is_finished` holds only when all of it is there."""

    @abstractmethod
    def is_finished(self, folder: Path, utterance: Utterance) -> bool:
        """Whether the answer of an utterance is there."""

    @abstractmethod
    def collect(self, folder: Path, utterances: Sequence[Utterance]) -> None:
        """Write the lists by which people and stage 6 find the answers of a split."""

    @abstractmethod
    def load(self, folder: Path, utterances: Sequence[Utterance]) -> list[Any]:
        """The answers of utterances, or where they are; AioError names those that are missing."""


# The units of several kinds of answer, by the name of the kind.
UnitsByKind = Mapping[str, Units]


def load_units(root: Path, tasks: Sequence[Task]) -> dict[str, Units]:
    """The units of every kind of answer that some tasks have, from `root/<kind>`.

    Raises:
        AioError: units of a kind are missing or damaged.
    """
    units = {}
    for task in tasks:
        # Tasks with the same kind of answer share its units.
        if task.output not in units:
            folder = root / task.output
            units[task.output] = task.kind.load_units(folder)
    return units
