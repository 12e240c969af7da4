"""A finished model, ready to answer recordings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from aio_toolkit import parts
from aio_toolkit.devices import pick_device
from aio_toolkit.errors import AioError
from aio_toolkit.hub.answerers.base import Answerer
from aio_toolkit.hub.answers import AudioAnswer, TextAnswer
from aio_toolkit.hub.card import describe_card
from aio_toolkit.hub.opened import open_model
from aio_toolkit.hub.recording import to_recording
from aio_toolkit.models.size import describe_size
from aio_toolkit.tasks import Task


class Model:
    """Answers recordings to the tasks that it was trained on.

    A recording is a path, or an array or tensor (samples,) or (channels, samples) with its rate.

    Attributes:
        tasks: its tasks by name.
        rate: Hz at which it hears; other rates are resampled, there and back.
        sha256: a hash that tells it from other models.
    """

    def __init__(
        self,
        where: Path | str,
        device: str = "auto",
        trust: Sequence[str] = (),
        revision: str | None = None,
    ):
        """Read a model.

        Args:
            where: experiment folder of stage 4 or of a sub-network, packed folder, zip of one, or
                `user/name` on the hub.
            device: `cpu`, `cuda`, or `auto`: a GPU where there is one.
            trust: packages of parts that a pack may run.
            revision: commit, tag or branch on the hub.

        Raises:
            AioError: there is no model or device, or the model is damaged or not safe.
        """
        device = pick_device(device)
        self._opened = open_model(where, trust, revision)
        self._model = self._opened.model.to(device)
        self.sha256 = self._opened.sha256
        self.tasks: dict[str, Task] = {task.name: task for task in self._model.tasks}
        self.rate = self._model.encoder.grid.sample_rate
        self._answerers: dict[str, Answerer] = {}

    def describe(self) -> str:
        """A card in some lines: tasks with what they answer, rate, size; training data, results and
        licence where a pack tells them."""
        width = max(map(len, self.tasks))
        name = self._opened.source.name
        lines = [f"{name}, hears {self.rate} Hz", describe_size(self._model), "tasks:"]
        for name, task in self.tasks.items():
            lines.append(f"  {name:{width}}  {task.title}: {', '.join(task.targets)}")
        if self._opened.card:
            lines += describe_card(self._opened.card)
        return "\n".join(lines)

    def answer(self, task: str, x: Any, rate: int | None = None) -> Any:
        """The answer to a recording, or a list of answers to a list of them.

        Args:
            task: name of one of its tasks.
            x: a recording, or a list of recordings.
            rate: Hz of arrays and tensors.

        Raises:
            AioError: it does not know the task, or a recording cannot be read.
        """
        answerer = self.answerer(task)
        if isinstance(x, list):
            return [answerer.answer(to_recording(one, rate)) for one in x]
        return answerer.answer(to_recording(x, rate))

    def transcribe(self, x: Any, rate: int | None = None) -> TextAnswer:
        """What is said in a recording."""
        return self.answer("asr", x, rate)

    def translate(self, x: Any, rate: int | None = None) -> TextAnswer:
        """What is said in a recording, in another language."""
        return self.answer("st", x, rate)

    def separate(self, x: Any, rate: int | None = None) -> AudioAnswer:
        """Each speaker of a recording."""
        return self.answer("sep", x, rate)

    def enhance(self, x: Any, rate: int | None = None) -> AudioAnswer:
        """The speech of a recording without its noise."""
        return self.answer("enh", x, rate)

    def sounds(self, x: Any, rate: int | None = None) -> AudioAnswer:
        """Each sound of a recording."""
        return self.answer("sound", x, rate)

    def music(self, x: Any, rate: int | None = None) -> AudioAnswer:
        """Each stem of a song."""
        return self.answer("music", x, rate)

    def answerer(self, name: str) -> Answerer:
        """What answers recordings to a task; AioError where the model does not know it."""
        if name not in self.tasks:
            known = ", ".join(self.tasks)
            raise AioError(f"the model has no task '{name}'. Its tasks: {known}.")
        if name not in self._answerers:
            task = self.tasks[name]
            answerer = cast(type[Answerer], parts.find_in("hub/answerers", task.output))
            self._answerers[name] = answerer(self._model, task)
        return self._answerers[name]
