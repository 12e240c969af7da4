"""The contract of an answerer: a recording of any length in, the answer to one task out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from aio_toolkit.errors import AioError
from aio_toolkit.heads.base import Frames
from aio_toolkit.hub.recording import Recording
from aio_toolkit.models.aio import AioModel
from aio_toolkit.models.batch import Example, collate
from aio_toolkit.tasks import Task


class Answerer(ABC):
    """Answers recordings to one task of a model; a kind of answer is a file of its name here.

    Attributes:
        model: the model, on its device.
        task: one of its tasks.
        rate: Hz at which the model hears.
        can_be_printed: whether its answers are words.

    >>> class Silence(Answerer):
    ...     def answer(self, recording: Recording) -> str:
    ...         return ""
    """

    can_be_printed: ClassVar[bool] = False

    def __init__(self, model: AioModel, task: Task):
        """Take over a model.

        Raises:
            AioError: the task hears more than a recording.
        """
        if task.inputs:
            needed = ", ".join(task.inputs)
            problem = f"task '{task.name}' hears {needed} besides the recording"
            raise AioError(f"{problem}. Decode a data dir instead (aio_toolkit.bin.decode).")
        self.model = model
        self.task = task
        self.rate = model.encoder.grid.sample_rate

    @abstractmethod
    def answer(self, recording: Recording) -> Any:
        """The answer to a recording."""

    def frames(self, waves: Sequence[np.ndarray]) -> Frames:
        """What the model hears in waves (S,) of its rate, as one batch."""
        examples = [Example(str(number), self.task, wave_S) for number, wave_S in enumerate(waves)]
        batch = collate(examples, self.model.tasks, self.model.encoder.grid.hop)
        batch = batch.inputs_on(next(self.model.parameters()).device)
        return self.model.frames(self.model.encode(batch), batch, self.task)
