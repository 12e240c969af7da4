"""Sounds of different classes, each somewhere in the mixture. Letters: see `data.mixing.base`."""

from dataclasses import dataclass
from typing import override

import numpy as np

from aio_toolkit.data.mixing.base import MixingRule, Piece, by_speaker, pick
from aio_toolkit.data.source_dir import SourceFolders
from aio_toolkit.errors import AioError
from aio_toolkit.ranges import bounded
from aio_toolkit.tasks import Task


class Events(MixingRule):
    """Two events or more; classes are drawn evenly, no two of a mixture alike.

    >>> Events.Config(sources=["event_train"]).durations
    [0.5, 1.0]
    """

    @dataclass
    class Config(MixingRule.Config):
        """Options.

        Attributes:
            durations: shortest and longest event as shares of the mixture.
            level_db: largest gain of an event over its own level, in either direction.
        """

        durations: list[float] = bounded([0.5, 1.0], above=0)
        level_db: float = bounded(2.5, least=0)

    def __init__(self, config: Config, task: Task, folders: SourceFolders):
        """Sort the sources by class.

        Raises:
            AioError: there are fewer classes than the task has targets, or durations make no sense.
        """
        super().__init__(config, task, folders)
        self.members = by_speaker(self.find("sources", config.sources))
        if len(self.members) < len(task.targets):
            problem = f"{len(task.targets)} classes may meet, the sources have {len(self.members)}"
            raise AioError(f"{self.where}: {problem}. Name more sources.")
        shortest, longest = config.durations
        if not 0 < shortest <= longest <= 1:
            rule = "durations are two shares, the smaller first: [0.5, 1.0]"
            raise AioError(f"{self.where}: {rule}.")

    @override
    def pieces(self, rng: np.random.Generator, num_samples: int) -> list[Piece]:
        """The beginnings of two or more events."""
        most = len(self.task.targets)
        count = int(rng.integers(min(2, most), most + 1))
        names = list(self.members)
        pieces = []
        for place, number in enumerate(rng.choice(len(names), size=count, replace=False).tolist()):
            source = pick(rng, self.members[names[number]])
            longest = int(num_samples * rng.uniform(*self.config.durations))
            length = max(1, min(longest, source.num_samples))
            piece = Piece(
                source=source,
                target=self.task.targets[place],
                # An event is what it is by its onset.
                start=0,
                num_samples=length,
                offset=int(rng.integers(num_samples - length + 1)),
                gain_db=float(rng.uniform(-self.config.level_db, self.config.level_db)),
            )
            pieces.append(piece)
        return pieces
