"""A stretch of a recording, in samples and in frames."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """Samples from `start` on, which lies on the grid of frames.

    Attributes:
        start: first sample, a multiple of `hop`.
        num_samples: how many.
        hop: samples of a frame.

    >>> span = Span(start=640, num_samples=700, hop=320)
    >>> span.stop, span.frames
    (1340, slice(2, 5, None))
    """

    start: int
    num_samples: int
    hop: int

    @property
    def stop(self) -> int:
        """The sample behind the last."""
        return self.start + self.num_samples

    @property
    def frames(self) -> slice:
        """The frames that hold them; the last may be incomplete."""
        first = self.start // self.hop
        return slice(first, first - (-self.num_samples // self.hop))
