"""The grid of frames that codecs, front ends and masks share."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FrameGrid:
    """How waves are cut into frames: frame t is of the samples from t * hop on.

    Attributes:
        sample_rate: Hz.
        hop: samples of a frame.

    >>> grid = FrameGrid(sample_rate=16000, hop=320)
    >>> grid.frame_rate, grid.num_frames(321)
    (50.0, 2)
    """

    sample_rate: int
    hop: int

    @property
    def frame_rate(self) -> float:
        """Frames a second."""
        return self.sample_rate / self.hop

    def num_frames(self, num_samples: int) -> int:
        """Frames of a wave; zeros complete the last one."""
        return -(-num_samples // self.hop)
