"""Samples of any type as floats of full scale 1."""

import numpy as np


def to_full_scale(samples: np.ndarray) -> np.ndarray:
    """Floats as they are; integers over half the range of their type, unsigned ones around it.

    >>> to_full_scale(np.array([-32768, 16384], np.int16)).tolist()
    [-1.0, 0.5]
    >>> to_full_scale(np.array([0, 128], np.uint8)).tolist()
    [-1.0, 0.0]
    """
    if not np.issubdtype(samples.dtype, np.integer):
        return samples
    limits = np.iinfo(samples.dtype)
    half = (float(limits.max) - float(limits.min) + 1) / 2
    return (samples - (limits.min + half)) / half
