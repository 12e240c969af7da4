"""Several people who speak at once. Letters: see `data.mixing.base`."""

from dataclasses import dataclass
from typing import override

import numpy as np

from aio_toolkit.data.mixing.base import MixingRule, Piece, by_speaker, cut, pick
from aio_toolkit.data.source_dir import SourceFolders
from aio_toolkit.errors import AioError
from aio_toolkit.ranges import bounded
from aio_toolkit.tasks import Task


class Speakers(MixingRule):
    """Speakers are drawn evenly, whatever they have recorded, then an utterance of each.

    >>> Speakers.Config(sources=["train:asr"]).speed
    [1.0]
    """

    @dataclass
    class Config(MixingRule.Config):
        """Options.

        Attributes:
            level_db: largest level of a speaker over the first, in either direction.
            speed: how much faster a speaker may be played, one of these.
            counts: how many may speak; empty: as many as the task has targets.
        """

        level_db: float = bounded(5.0, least=0)
        speed: list[float] = bounded([1.0], above=0)
        counts: list[int] = bounded([], least=1)

    def __init__(self, config: Config, task: Task, folders: SourceFolders):
        """Sort the sources by speaker.

        Raises:
            AioError: there are fewer speakers than a mixture may have, or more asked for than the
                task has targets.
        """
        super().__init__(config, task, folders)
        self.counts = config.counts or [len(task.targets)]
        self.members = by_speaker(self.find("sources", config.sources))
        most, least = max(self.counts), min(self.counts)
        if least < 1 or most > len(task.targets):
            problem = f"counts {self.counts} do not suit {len(task.targets)} targets"
            raise AioError(f"{self.where}: {problem}. Give numbers from 1 to that.")
        if len(self.members) < most:
            problem = f"{most} speakers are to be mixed, the sources have {len(self.members)}"
            raise AioError(f"{self.where}: {problem}. Name more sources.")

    @override
    def pieces(self, rng: np.random.Generator, num_samples: int) -> list[Piece]:
        """A stretch of each speaker."""
        names = list(self.members)
        count = pick(rng, self.counts)
        chosen = rng.choice(len(names), size=count, replace=False)
        pieces = []
        for place, number in enumerate(chosen.tolist()):
            source = pick(rng, self.members[names[number]])
            speed = pick(rng, self.config.speed)
            start, length, offset = cut(rng, source, num_samples, speed)
            limit = self.config.level_db
            # Levels are over the first.
            gain_db = float(rng.uniform(-limit, limit)) if place else 0.0
            piece = Piece(
                source=source,
                target=self.task.targets[place],
                start=start,
                num_samples=length,
                offset=offset,
                gain_db=gain_db,
                at_unit_level=True,
                speed=speed,
            )
            pieces.append(piece)
        return pieces
