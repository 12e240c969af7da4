"""Long recordings in windows, and what is made of windows back in one piece.

Letters: N sources, C channels, S samples.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from aio_toolkit.hub.blocks import Tap

# Puts the sources (N, C, S) of a window in their places, by the last samples (N, C, S) of the
# window before, which it begins with; the first window has none before it.
Order = Callable[[np.ndarray, np.ndarray | None], np.ndarray]


def cut(blocks: Iterable[np.ndarray], size: int, overlap: int) -> Iterator[np.ndarray]:
    """Windows (C, S) that overlap; a model never hears more than one of them at a time.

    The last may be shorter, not than the overlap.

    Args:
        blocks: a wave (C, S), block by block.
        size: samples of a window.
        overlap: samples that neighbours share.

    >>> wave_CS = np.arange(25)[None]
    >>> [(window[0, 0], window[0, -1]) for window in cut([wave_CS], size=10, overlap=2)]
    [(np.int64(0), np.int64(9)), (np.int64(8), np.int64(17)), (np.int64(16), np.int64(24))]
    """
    tap = Tap(blocks)
    window_CS = tap.take(size)
    while window_CS.size:
        yield window_CS
        more_CS = tap.take(size - overlap)
        if not more_CS.size:
            return
        shared_CS = window_CS[:, -overlap:]
        window_CS = np.concatenate([shared_CS, more_CS], axis=1)


def join(windows: Iterable[np.ndarray], overlap: int, order: Order) -> Iterator[np.ndarray]:
    """Waves (N, C, S), block by block, of the waves of windows, which fade into each other.

    Args:
        windows: waves (N, C, S) of each window, in turn.
        overlap: samples that neighbours share.
        order: puts the sources of a window in the places that they had before.

    >>> wave_NCS = np.random.default_rng(0).standard_normal((2, 1, 30))
    >>> pieces = [wave_NCS[..., :20], wave_NCS[..., 12:]]
    >>> joined_NCS = np.concatenate([*join(pieces, 8, lambda window, before: window)], axis=-1)
    >>> np.allclose(joined_NCS, wave_NCS)
    True
    """
    # Neither end of a fade is 0 or 1: there the neighbouring sample is of one window alone.
    fade_S = np.linspace(0, 1, overlap + 2, dtype=np.float32)[1:-1]
    tail_NCS: np.ndarray | None = None
    for window_NCS in windows:
        window_NCS = order(window_NCS, tail_NCS)
        if tail_NCS is not None:
            head_NCS = window_NCS[..., :overlap]
            faded_NCS = tail_NCS + fade_S * (head_NCS - tail_NCS)
            window_NCS = np.concatenate([faded_NCS, window_NCS[..., overlap:]], axis=-1)
        # A window shorter than the overlap is the only one.
        tail_NCS = window_NCS[..., -overlap:]
        yield window_NCS[..., :-overlap]
    if tail_NCS is not None:
        yield tail_NCS
