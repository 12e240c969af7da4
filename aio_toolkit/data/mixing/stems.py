"""Stems of songs, played together or put together anew. Letters: see `data.mixing.base`."""

from dataclasses import dataclass
from typing import override

import numpy as np

from aio_toolkit.data.mixing.base import MixingRule, Piece, by_speaker, pick
from aio_toolkit.data.source_dir import Source, SourceFolders
from aio_toolkit.errors import AioError
from aio_toolkit.ranges import bounded
from aio_toolkit.tasks import Task


class Stems(MixingRule):
    """All stems of one song at one place, or each of a song of its own.

    >>> Stems.Config(sources=["train:music"]).remix_share
    0.5
    """

    @dataclass
    class Config(MixingRule.Config):
        """Options.

        Attributes:
            remix_share: probability that every stem is of a song of its own.
            level_db: largest gain of a stem over its own level, in either direction.
        """

        remix_share: float = bounded(0.5, least=0, most=1)
        level_db: float = bounded(3.0, least=0)

    def __init__(self, config: Config, task: Task, folders: SourceFolders):
        """Sort the stems by song.

        Raises:
            AioError: no song has all stems of the task.
        """
        super().__init__(config, task, folders)
        self.songs: list[dict[str, Source]] = []
        for stems in by_speaker(self.find("sources", config.sources)).values():
            song = {stem.part: stem for stem in stems}
            if song.keys() >= set(task.targets):
                self.songs.append(song)
        if not self.songs:
            wanted = ", ".join(task.targets)
            problem = f"no song of the sources has all stems ({wanted})"
            raise AioError(f"{self.where}: {problem}. Name a split with stems.")

    @override
    def pieces(self, rng: np.random.Generator, num_samples: int) -> list[Piece]:
        """A stretch of every stem; where a song is shorter, silence follows it."""
        is_remix = rng.random() < self.config.remix_share
        song, place = pick(rng, self.songs), rng.random()
        pieces = []
        for target in self.task.targets:
            if is_remix:
                song, place = pick(rng, self.songs), rng.random()
            stem = song[target]
            length = min(num_samples, stem.num_samples)
            # At one place in all stems of a song, whose lengths are equal.
            start = int(place * (stem.num_samples - length + 1))
            gain_db = float(rng.uniform(-self.config.level_db, self.config.level_db))
            pieces.append(Piece(stem, target, start, length, gain_db=gain_db))
        return pieces
