"""The contract of an answerer: recordings of any length in, answers to one task out.

Answers come in pieces that follow each other, as recordings do in windows.
"""

import itertools
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from aio_toolkit.codec.base import Codec
from aio_toolkit.errors import AioError
from aio_toolkit.heads.base import Frames
from aio_toolkit.hub.recording import Recording, to_recording
from aio_toolkit.models.aio import AioModel
from aio_toolkit.models.batch import Example, collate
from aio_toolkit.models.checkpoint import MAX_SECONDS, MIN_SECONDS
from aio_toolkit.tasks import Task

# Seconds of a window, at the least, unless users ask for less: below, masks have little to go by,
# and pauses are hardly to be found, however short the examples of training were.
LEAST_WINDOW = 1.0
# Opens a recording, or raises what is wrong with it.
Opener = Callable[[], Recording]


class Answerer[Window, Heard, Answer](ABC):
    """Answers recordings to one task of a model; a kind of answer is a file of its name here.

    Attributes:
        model: the model, on its device.
        task: one of its tasks.
        codec: loads the codec that the model was trained with.
        rate: Hz at which the model hears.
        can_be_printed: whether its answers are words.

    >>> class Length(Answerer[float, float, float]):
    ...     def cut(self, recording: Recording, options: Any) -> Iterator[float]:
    ...         return (block_CS.shape[1] / recording.rate for block_CS in recording.blocks)
    ...
    ...     def hear(self, windows: Sequence[float], options: Any) -> Sequence[float]:
    ...         return windows
    ...
    ...     def pieces(self, recording: Recording, heard: Iterator[float], options: Any) -> Any:
    ...         return heard
    ...
    ...     def joined(self, pieces: Iterable[float], options: Any) -> float:
    ...         return sum(pieces)
    ...
    ...     def write(self, pieces: Iterable[float], folder: Path, options: Any) -> None:
    ...         folder.mkdir()
    """

    can_be_printed: ClassVar[bool] = False

    @dataclass
    class Options:
        """What users choose; kinds add to it.

        Attributes:
            channel: the only channel to be heard, counted from 1; none given, all of them.
            partial: of a file that is cut off, answer what is there, with a notice on stderr.
            window: seconds that are heard at a time; none given, what training tells.
        """

        channel: int | None = None
        partial: bool = False
        window: float | None = None

    def __init__(self, model: AioModel, task: Task, codec: Callable[[], Codec]):
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
        self.codec = codec
        self.rate = model.encoder.grid.sample_rate

    def check(self, options: Any) -> None:
        """Raise AioError where options do not suit the task; by default they all do."""

    @abstractmethod
    def cut(self, recording: Recording, options: Any) -> Iterator[Window]:
        """A recording in windows that the model can hear."""

    @abstractmethod
    def hear(self, windows: Sequence[Window], options: Any) -> Sequence[Heard]:
        """What the model makes of windows, whatever recordings they are of."""

    @abstractmethod
    def pieces(
        self, recording: Recording, heard: Iterator[Heard], options: Any
    ) -> Iterator[Answer]:
        """The answer to a recording, piece by piece, of what was heard in its windows."""

    @abstractmethod
    def joined(self, pieces: Iterable[Answer], options: Any) -> Answer:
        """All pieces as one."""

    @abstractmethod
    def write(self, pieces: Iterable[Answer], folder: Path, options: Any) -> None:
        """Write an answer into a folder, piece by piece."""

    def answers(
        self, openers: Iterable[Opener], options: Any, at_once: int
    ) -> Iterator[Iterator[Answer]]:
        """For each recording its answer, piece by piece; AioError comes with the first piece.

        1. Cut the recordings into windows, one after the other.
        2. Let the model hear batches of windows, of whatever recordings.
        3. Put together what was heard of each recording.

        Args:
            openers: open the recordings when it is their turn.
            options: an instance of `Options`.
            at_once: windows in a batch.
        """
        opened: deque[Recording | None] = deque()
        windows = _windows(partial(self.cut, options=options), openers, opened)
        heard = self._heard(windows, options, at_once)
        for _, of_recording in itertools.groupby(heard, key=itemgetter(0)):
            results = (_result(made) for _, made in of_recording)
            recording = opened.popleft()
            # One that could not be opened has nothing but its error.
            yield results if recording is None else self.pieces(recording, results, options)

    def opener(self, x: Any, options: Options, rate: int | None = None) -> Opener:
        """Opens a recording (see `to_recording`) as the options want it heard."""
        return partial(to_recording, x, rate, options.channel, partial=options.partial)

    def window(self, asked: float | None, times: float = 1.0) -> int:
        """Samples that the model hears at a time.

        Args:
            asked: seconds that the user wants; None takes what training tells: as long as the
                examples of the task were, and no shorter than `LEAST_WINDOW`.
            times: so many times as long as those.

        Raises:
            AioError: nobody could hear windows of that length.
        """
        if asked is None:
            asked = max(LEAST_WINDOW, times * self.model.example_seconds[self.task.name])
        elif not MIN_SECONDS <= asked <= MAX_SECONDS:
            problem = f"window: {asked:g} is not from {MIN_SECONDS:g} to {MAX_SECONDS:g} seconds"
            raise AioError(f"{problem}. Choose another, or leave it out.")
        # Neighbours share a part, and there is something besides.
        return max(2, int(asked * self.rate))

    def _heard(
        self, windows: Iterator[tuple[int, Any]], options: Any, at_once: int
    ) -> Iterator[tuple[int, Any]]:
        for batch in itertools.batched(windows, at_once):
            good = [window for _, window in batch if not isinstance(window, AioError)]
            heard = iter(self.hear(good, options) if good else ())
            for number, window in batch:
                yield number, window if isinstance(window, AioError) else next(heard)

    def frames(self, waves: Sequence[np.ndarray]) -> Frames:
        """What the model hears in waves (S,) of its rate, as one batch."""
        examples = [Example(str(number), self.task, wave_S) for number, wave_S in enumerate(waves)]
        batch = collate(examples, self.model.tasks, self.model.encoder.grid.hop)
        batch = batch.inputs_on(next(self.model.parameters()).device)
        return self.model.frames(self.model.encode(batch), batch, self.task)


def _windows(
    cut: Callable[[Recording], Iterator[Any]],
    openers: Iterable[Opener],
    opened: deque[Recording | None],
) -> Iterator[tuple[int, Any]]:
    """The windows of all recordings with the numbers of these; an error ends its recording's."""
    for number, opener in enumerate(openers):
        try:
            heard, kept = opener().twice()
        except AioError as error:
            opened.append(None)
            yield number, error
            continue
        opened.append(kept)
        # Nobody else holds it: what both have heard is forgotten.
        del kept
        try:
            for window in cut(heard):
                yield number, window
        except AioError as error:
            yield number, error


def _result(made: Any) -> Any:
    if isinstance(made, AioError):
        raise made
    return made
