"""A finished model, ready to answer recordings."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

from aio_toolkit import parts
from aio_toolkit.codec.base import Codec, check_same, load_codec
from aio_toolkit.config import from_values
from aio_toolkit.devices import pick_device
from aio_toolkit.errors import AioError
from aio_toolkit.hub.answerers.base import Answerer
from aio_toolkit.hub.card import describe_card
from aio_toolkit.hub.opened import open_model
from aio_toolkit.hub.recording import stream_of
from aio_toolkit.models.size import describe_size
from aio_toolkit.tasks import Task

# Windows that go through the model at a time.
AT_ONCE = 8
# Targets of translations are called by this and their language.
IN_LANGUAGE = "text."


class Model:
    """Answers recordings to the tasks that it was trained on.

    A recording is a path, an open file of bytes, or an array or tensor (samples,) or (channels,
    samples) with its rate.

    Attributes:
        tasks: its tasks by name.
        rate: Hz at which it hears; other rates are resampled, there and back.
        sha256: a hash that tells it from other models.
    """

    def __init__(
        self,
        where: Path | str,
        device: str = "auto",
        codec: Path | str | None = None,
        trust: Sequence[str] = (),
        revision: str | None = None,
    ):
        """Read a model.

        Args:
            where: experiment folder of stage 4 or of a sub-network, packed folder, zip of one, or
                `user/name` on the hub.
            device: `cpu`, `cuda`, or `auto`: a GPU where there is one.
            codec: folder, file or name of the codec that it was trained with, for answers that need
                one; it is loaded when it is needed.
            trust: packages of parts that a pack may run.
            revision: commit, tag or branch on the hub.

        Raises:
            AioError: there is no model or device, or the model is damaged or not safe.
        """
        device = pick_device(device)
        self._opened = open_model(where, trust, revision)
        loaded = self._opened.loaded
        self._model = loaded.model.to(device)
        self._codec, self._fingerprint = codec or self._opened.codec, loaded.codec
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

    def answer(
        self,
        task: str,
        x: Any,
        rate: int | None = None,
        *,
        out: Path | str | None = None,
        **options: Any,
    ) -> Any:
        """The answer to a recording, or a list of answers to a list of them.

        Args:
            task: name of one of its tasks.
            x: a recording, or a list of recordings, which are answered in batches.
            rate: Hz of arrays and tensors.
            out: folder that the answer to a recording is written into, window by window: however
                long it is, it is never in memory.
            options: those of the answerer of the task's kind (`hub/answerers/*.py`, `Options`).

        Returns:
            What the answerer says; `out` where it is given.

        Raises:
            AioError: it does not know the task or an option, or a recording cannot be read.
        """
        is_list = isinstance(x, list)
        if is_list and out is not None:
            remedy = "Answer them one by one, or by the command `aio-toolkit answer`"
            raise AioError(f"out: a list of recordings has no single folder. {remedy}.")
        answerer, chosen = self.answerer(task), self.options(task, options)
        openers = [answerer.opener(one, chosen, rate) for one in (x if is_list else [x])]
        answers = answerer.answers(openers, chosen, AT_ONCE)
        if out is not None:
            answerer.write(next(answers), Path(out), chosen)
            return Path(out)
        joined = [answerer.joined(pieces, chosen) for pieces in answers]
        return joined if is_list else joined[0]

    def stream(self, task: str, chunks: Iterable[Any], rate: int, **options: Any) -> Iterator[Any]:
        """The answer to a recording that is still going on, piece by piece.

        The pieces together are the answer to the whole recording. A window is answered when it has
        ended. Latency is what the model needs, plus the length of a window: twice that of examples
        in training, or for words once that, unless `window` says how long. Speakers and sounds are
        all answered, if silent: who is not there is known only at the end.

        Args:
            task: name of one of its tasks.
            chunks: arrays or tensors (S,) or (C, S), of any sizes.
            rate: their rate in Hz.
            options: as for `answer`.

        Raises:
            AioError: as `answer`.
        """
        answerer, chosen = self.answerer(task), self.options(task, options)
        recording = partial(stream_of, chunks, rate, chosen.channel)
        for pieces in answerer.answers([recording], chosen, at_once=1):
            yield from pieces

    def transcribe(self, x: Any, rate: int | None = None, **options: Any) -> Any:
        """What is said in a recording: `TextAnswer`."""
        return self.answer("asr", x, rate, **options)

    def translate(
        self, x: Any, rate: int | None = None, *, to: str | None = None, **options: Any
    ) -> Any:
        """What is said in a recording, in another language: `TextAnswer`.

        Args:
            x: a recording, or a list of them.
            rate: Hz of arrays and tensors.
            to: the language, two letters; none needed where the model knows a single one.
            options: as for `answer`.

        Raises:
            AioError: it does not translate, or not into that language.
        """
        return self.answer(self._translation(to), x, rate, **options)

    def separate(self, x: Any, rate: int | None = None, **options: Any) -> Any:
        """Each speaker of a recording: `AudioAnswer`."""
        return self.answer("sep", x, rate, **options)

    def enhance(self, x: Any, rate: int | None = None, **options: Any) -> Any:
        """The speech of a recording without its noise: `AudioAnswer`."""
        return self.answer("enh", x, rate, **options)

    def sounds(self, x: Any, rate: int | None = None, **options: Any) -> Any:
        """Each sound of a recording: `AudioAnswer`."""
        return self.answer("sound", x, rate, **options)

    def music(self, x: Any, rate: int | None = None, **options: Any) -> Any:
        """Each stem of a song: `AudioAnswer`."""
        return self.answer("music", x, rate, **options)

    def options(self, task: str, chosen: Mapping[str, Any]) -> Any:
        """Options of a task's answerer; AioError where it has none of a name, or no such value, or
        the task has no use for it."""
        answerer = self.answerer(task)
        options = from_values(answerer.Options, dict(chosen), f"options of task '{task}'")
        answerer.check(options)
        return options

    def answerer(self, name: str) -> Answerer:
        """What answers recordings to a task; AioError where the model does not know it."""
        if name not in self.tasks:
            known = ", ".join(self.tasks)
            raise AioError(f"the model has no task '{name}'. Its tasks: {known}.")
        if name not in self._answerers:
            task = self.tasks[name]
            answerer = cast(type[Answerer], parts.find_in("hub/answerers", task.output))
            self._answerers[name] = answerer(self._model, task, lambda: self.codec)
        return self._answerers[name]

    @cached_property
    def codec(self) -> Codec:
        """The codec that it was trained with; AioError where it is another, or none was given."""
        if self._codec is None:
            remedy = 'Name it: load(..., codec="exp/codec")'
            raise AioError(f"this answer needs the model's codec. {remedy}.")
        codec = load_codec(self._codec, device=str(next(self._model.parameters()).device))
        check_same(self._fingerprint, codec.fingerprint, f"codec {self._codec}")
        return codec

    def _translation(self, to: str | None) -> str:
        """The task that translates into a language."""
        languages = {
            target.removeprefix(IN_LANGUAGE): name
            for name, task in self.tasks.items()
            for target in task.targets
            if target.startswith(IN_LANGUAGE)
        }
        if to is None and len(languages) == 1:
            (to,) = languages
        if to not in languages:
            known = ", ".join(languages) or "none"
            problem = f"into '{to}'" if to else "without a language (to=)"
            raise AioError(f"the model does not translate {problem}. Its languages: {known}.")
        return languages[to]
