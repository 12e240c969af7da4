"""A recording and its echo as two sources."""

from dataclasses import dataclass
from typing import override

import numpy as np

from aio_toolkit.data.mixing.base import MixingRule, Piece, pick
from aio_toolkit.data.source_dir import SourceFolders
from aio_toolkit.tasks import Task


class Echo(MixingRule):
    """The same stretch twice."""

    @dataclass
    class Config(MixingRule.Config):
        """Options.

        Attributes:
            delay: samples between the two.
        """

        delay: int = 100

    def __init__(self, config: Config, task: Task, folders: SourceFolders):
        super().__init__(config, task, folders)
        self.members = self.find("sources", config.sources)

    @override
    def pieces(self, rng: np.random.Generator, num_samples: int) -> list[Piece]:
        source = pick(rng, self.members)
        length = min(num_samples, source.num_samples)
        first, second = self.task.targets
        return [
            Piece(source, first, 0, length),
            Piece(source, second, 0, length, offset=self.config.delay),
        ]
