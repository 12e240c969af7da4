"""Long recordings in windows, and what is made of windows back in one piece.

Letters: N sources, C channels, S samples.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from aio_toolkit.heads.permutation import best_order


@dataclass(frozen=True)
class Windows:
    """Stretches of equal size that overlap; a model never hears more than one of them at a time.

    Attributes:
        size: samples of a window.
        overlap: samples that neighbours share.

    >>> [*Windows(size=10, overlap=2).spans(25)]
    [(0, 10), (8, 18), (16, 25)]
    >>> [*Windows(size=10, overlap=2).spans(3)]
    [(0, 3)]
    """

    size: int
    overlap: int

    def spans(self, num_samples: int) -> Iterator[tuple[int, int]]:
        """Start and end of each window; the last may be shorter, not than the overlap."""
        step = self.size - self.overlap
        for start in range(0, max(1, num_samples - self.overlap), step):
            yield start, min(start + self.size, num_samples)


def join(
    made: Iterable[torch.Tensor], windows: Windows, num_samples: int, num_equals: int
) -> torch.Tensor:
    """Waves (N, C, S) of the waves of all windows, which fade into each other.

    A model may name speakers in another order in every window. Estimates that are equals are put in
    the order in which they go on best with what came before, by their products on the overlap.

    Args:
        made: waves (N, C, S) of each window, in turn.
        windows: how the recording was cut.
        num_samples: its length.
        num_equals: how many estimates, the first, have no place of their own.

    >>> wave_NCS = torch.randn(2, 1, 30)
    >>> pieces = [wave_NCS[..., :20], wave_NCS[..., 12:].flip(0)]
    >>> joined_NCS = join(pieces, Windows(size=20, overlap=8), 30, num_equals=2)
    >>> torch.allclose(joined_NCS, wave_NCS)
    True
    """
    joined_NCS = torch.empty(0)
    # Neither end of a fade is 0 or 1: there the neighbouring sample is of one window alone.
    fade_S = torch.linspace(0, 1, windows.overlap + 2)[1:-1]
    for (start, end), piece_NCS in zip(windows.spans(num_samples), made, strict=True):
        if start == 0:
            joined_NCS = piece_NCS.new_zeros(*piece_NCS.shape[:-1], num_samples)
        else:
            before_NCS = joined_NCS[..., start : start + windows.overlap]
            piece_NCS = _in_order(piece_NCS, before_NCS, num_equals)
            after_NCS = piece_NCS[..., : windows.overlap]
            piece_NCS[..., : windows.overlap] = torch.lerp(before_NCS, after_NCS, fade_S)
        joined_NCS[..., start:end] = piece_NCS
    return joined_NCS


def _in_order(piece_NCS: torch.Tensor, before_NCS: torch.Tensor, num_equals: int) -> torch.Tensor:
    """The estimates of a window in the order of those before it."""
    if num_equals < 2:
        return piece_NCS.clone()
    before_NX = before_NCS[:num_equals].flatten(1)
    after_NX = piece_NCS[:num_equals, :, : before_NCS.shape[-1]].flatten(1)
    # Row n: how well each estimate of the window goes on with estimate n.
    likeness_NN = before_NX @ after_NX.T
    (order_N,) = best_order(-likeness_NN[None])
    return torch.cat([piece_NCS[order_N], piece_NCS[num_equals:]])
