"""Whether a wave was recorded too loud. Letters: S samples."""

import numpy as np

# A wave looks clipped with so many stretches of three samples at its peak, near full scale.
CLIPPED_STRETCHES = 10
FULL_SCALE = 0.98


def looks_clipped(wave_S: np.ndarray) -> bool:
    """Whether a wave stays at its peak, near full scale, for three samples in many places.

    >>> tone = np.sin(0.05 * np.arange(8000))
    >>> looks_clipped(0.9 * tone), looks_clipped(np.clip(3 * tone, -1, 1))
    (False, True)
    """
    level_S = np.abs(wave_S)
    threshold = max(FULL_SCALE, level_S.max())
    at_peak_S = level_S >= threshold
    # Loud sounds touch the peak; clipped ones stay there.
    next_S = at_peak_S[1:-1] & at_peak_S[2:]
    stays_S = at_peak_S[:-2] & next_S
    return int(np.count_nonzero(stays_S)) >= CLIPPED_STRETCHES
