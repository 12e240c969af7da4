"""The tags that are more likely than not."""

from dataclasses import dataclass
from typing import override

from tagging.answers.tags import TagUnits
from tagging.heads.tags import TagHead

from aio_toolkit.decoding.base import Decoder
from aio_toolkit.heads.base import Frames


class TagDecoder(Decoder):
    """A threshold on probabilities."""

    @dataclass
    class Config:
        """Options.

        Attributes:
            threshold: least probability of a tag that is given.
        """

        threshold: float = 0.5

    def __init__(self, config: Config, head: TagHead, units: TagUnits):
        super().__init__(config, head, units)
        self.threshold, self.head, self.tags = config.threshold, head, units.tags

    @override
    def decode(self, frames: Frames) -> list[list[str]]:
        likely_BN = self.head.logits(frames).sigmoid() > self.threshold
        return [[t for t, yes in zip(self.tags, row, strict=True) if yes] for row in likely_BN]
