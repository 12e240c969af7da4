"""The contract of a mixing rule: it draws which sources meet and how, and renders what it drew.

Letters used in this folder: S samples.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aio_toolkit.data.audio import read_span
from aio_toolkit.data.mixtures import Mixture, pad_or_crop, peak_normalise
from aio_toolkit.data.resampling import change_speed
from aio_toolkit.data.source_dir import Source, SourceFolders
from aio_toolkit.errors import AioError
from aio_toolkit.ranges import bounded
from aio_toolkit.tasks import Task

# Quieter stretches have no level that could be changed.
SILENT_RMS = 1e-6
# The largest magnitude of a mixture, at random between these.
PEAKS = 0.5, 0.9


@dataclass(frozen=True)
class Piece:
    """A stretch of a source in its place in a mixture.

    Attributes:
        source: what it is cut from.
        target: the target that it is part of; empty for what belongs to none.
        start: first sample of the stretch.
        num_samples: its samples before its speed is changed.
        offset: where in the mixture it begins.
        gain_db: its level: over an RMS of one if `at_unit_level`, else over its own.
        at_unit_level: whether it is brought to an RMS of one before.
        speed: how much faster it is played.
    """

    source: Source
    target: str
    start: int
    num_samples: int
    offset: int = 0
    gain_db: float = 0.0
    at_unit_level: bool = False
    speed: float = 1.0


@dataclass(frozen=True)
class MixtureDraw:
    """All that is decided of a mixture before a sample is read.

    Attributes:
        task: name of its task.
        num_samples: length of the mixture.
        pieces: what it is made of.
        peak: its largest magnitude.
    """

    task: str
    num_samples: int
    pieces: tuple[Piece, ...]
    peak: float


class MixingRule(ABC):
    """Makes mixtures of one task.

    A rule is made as `MixingRule(config, task, folders)`. Everything that is random is decided by
    `draw`, from the generator that it is given and nothing else; `render` may happen in any
    process.

    Attributes:
        task: the task whose mixtures it makes.
        share: probability that a row of the task is drawn and not one of the split.
        sample_rate: Hz.
        sources: all that it may mix.

    >>> class Alone(MixingRule):
    ...     def pieces(self, rng: np.random.Generator, num_samples: int) -> list[Piece]:
    ...         return [Piece(Source("a", "ann", "a.wav", 16000), "speech", 0, num_samples)]
    >>> enh = Task("enh", "", "audio", ("speech",), ("si_sdr",))
    >>> rule = Alone(Alone.Config(), enh, SourceFolders(data=None, tasks={}, sample_rate=16000))
    >>> rule.draw(np.random.default_rng(0), 800).pieces[0].num_samples
    800
    """

    @dataclass
    class Config:
        """Options of a rule; kinds add to them.

        Attributes:
            sources: what mixtures are made of, see `SourceFolders.read`.
            share: probability that a row of the task is drawn; the others are those of the split.
        """

        sources: list[str] = field(default_factory=list)
        share: float = bounded(1.0, least=0, most=1)

    def __init__(self, config: Any, task: Task, folders: SourceFolders):
        """Find the sources.

        Raises:
            AioError: sources are missing, too few, or not what the rule needs.
        """
        self.where = f"data.mixing.{task.name}"
        if not 0 <= config.share <= 1:
            raise AioError(f"{self.where}: share {config.share} is not in [0, 1].")
        self.config = config
        self.task = task
        self.share = config.share
        self.sample_rate = folders.sample_rate
        self.folders = folders
        self.sources: list[Source] = []

    @abstractmethod
    def pieces(self, rng: np.random.Generator, num_samples: int) -> list[Piece]:
        """Draw what a mixture of so many samples is made of."""

    def find(self, key: str, specs: Sequence[str]) -> list[Source]:
        """The sources that an option names.

        Args:
            key: the option's name, for messages.
            specs: names of sources, see `SourceFolders.read`.

        Raises:
            AioError: none is named, or one is not there.
        """
        if not specs:
            raise AioError(f"{self.where}: {key} names nothing to mix. Name folders of sources.")
        found: list[Source] = []
        for spec in specs:
            try:
                found += self.folders.read(spec)
            except AioError as error:
                raise AioError(f"{self.where}: {error}") from None
        self.sources += found
        return found

    def draw(self, rng: np.random.Generator, num_samples: int) -> MixtureDraw:
        """Draw a mixture; nothing is read."""
        pieces = self.pieces(rng, num_samples)
        return MixtureDraw(self.task.name, num_samples, tuple(pieces), float(rng.uniform(*PEAKS)))

    def render(self, drawn: MixtureDraw) -> Mixture:
        """Read the pieces and add them up; what a mixture holds besides its targets is kept out of
        them alone.
        """
        waves: dict[str, np.ndarray] = {}
        for piece in drawn.pieces:
            wave_S = self.render_piece(piece, drawn.num_samples)
            waves[piece.target] = waves.get(piece.target, 0) + wave_S
        return finish(waves, drawn)

    def render_piece(self, piece: Piece, num_samples: int) -> np.ndarray:
        """A piece in its place in silence (S,)."""
        where = f"{self.where}: {piece.source.id}"
        wave_S = read_span(
            piece.source.wav, self.sample_rate, piece.start, piece.num_samples, where
        )
        wave_S = change_speed(wave_S, piece.speed)
        gain = 10 ** (piece.gain_db / 20)
        if piece.at_unit_level:
            rms = float(np.sqrt(np.mean(np.square(wave_S, dtype=np.float64))))
            gain /= max(rms, SILENT_RMS)
        return pad_or_crop(wave_S * np.float32(gain), num_samples, piece.offset)


def finish(waves: dict[str, np.ndarray], drawn: MixtureDraw) -> Mixture:
    """The mixture of waves (S,) by target, at the peak that was drawn; background has no name."""
    total_S = np.sum(list(waves.values()), axis=0, dtype=np.float32)
    total_S, *scaled = peak_normalise([total_S, *waves.values()], drawn.peak)
    # One gain for all, by the loudest of them: sums stay sums.
    targets = {name: wave_S for name, wave_S in zip(waves, scaled, strict=True) if name}
    return Mixture(total_S, targets)


def by_speaker(sources: Iterable[Source]) -> dict[str, list[Source]]:
    """Sources by speaker, song or class, in the order of their names.

    >>> names = {"b1": "bob", "a1": "ann", "b2": "bob"}
    >>> sources = [Source(id, speaker, "", 1) for id, speaker in names.items()]
    >>> {name: len(members) for name, members in by_speaker(sources).items()}
    {'ann': 1, 'bob': 2}
    """
    groups: dict[str, list[Source]] = {}
    for source in sources:
        groups.setdefault(source.speaker, []).append(source)
    return dict(sorted(groups.items()))


def pick[T](rng: np.random.Generator, members: Sequence[T]) -> T:
    """One of several, evenly."""
    return members[int(rng.integers(len(members)))]


def cut(
    rng: np.random.Generator, source: Source, num_samples: int, speed: float = 1.0
) -> tuple[int, int, int]:
    """Start and length of a stretch that fills a mixture, and where it begins there.

    A longer source is cut somewhere; a shorter one stands somewhere in the mixture.

    >>> rng = np.random.default_rng(0)
    >>> start, length, offset = cut(rng, Source("a", "ann", "a.wav", 500), num_samples=800)
    >>> start, length, 0 <= offset <= 300
    (0, 500, True)
    """
    needed = int(np.ceil(num_samples * speed))
    length = min(needed, source.num_samples)
    start = int(rng.integers(source.num_samples - length + 1))
    room = max(0, num_samples - int(length / speed))
    return start, length, int(rng.integers(room + 1))
