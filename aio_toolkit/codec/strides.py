"""Strides of a codec that follow from its sample rate."""

import math
from itertools import combinations_with_replacement

from aio_toolkit.errors import AioError

FRAME_RATE = 50
# Always as many, so that the network has the same widths at every rate.
NUM_STRIDES = 4
SMALLEST, LARGEST = 2, 9


def strides_for(sample_rate: int) -> list[int]:
    """Strides for about 50 frames a second.

    Their product, the hop, is the nearest to a fiftieth of the rate that four strides of 2 to 9
    make and two sub-frames share, so it is even. Of several ways there the one with the largest
    first stride is taken, then that with the largest second one, and so on: the encoder's first
    layers, at the full rate, are where the time goes.

    Raises:
        AioError: no such strides come near.

    >>> strides_for(16000), strides_for(8000), strides_for(44100)
    ([8, 5, 4, 2], [8, 5, 2, 2], [9, 7, 7, 2])
    """
    wanted = sample_rate / FRAME_RATE
    if not SMALLEST**NUM_STRIDES <= wanted <= LARGEST**NUM_STRIDES:
        problem = f"no strides of a codec follow from a sample rate of {sample_rate} Hz"
        raise AioError(f"{problem}. Give model.encoder_rates, or another rate.")

    # Largest first, and so is every stride within a combination.
    sizes = range(LARGEST, SMALLEST - 1, -1)
    best: tuple[int, ...] = ()
    distance = math.inf
    for strides in combinations_with_replacement(sizes, NUM_STRIDES):
        hop = math.prod(strides)
        if hop % 2 == 0 and abs(hop - wanted) < distance:
            best, distance = strides, abs(hop - wanted)
    return list(best)
