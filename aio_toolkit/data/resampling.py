"""Waves at another rate. Letters: S samples."""

import functools
import math
import sys
from fractions import Fraction

import numpy as np


def resample(wave_S: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Resample a wave by a polyphase filter, in its own precision.

    Returns:
        A wave of `resampled_length(S, from_rate, to_rate)` samples.

    >>> resample(np.zeros(441), 44100, 16000).shape
    (160,)
    """
    divisor = math.gcd(from_rate, to_rate)
    return _resample(wave_S, to_rate // divisor, from_rate // divisor)


def resampled_length(num_samples: int, from_rate: int, to_rate: int) -> int:
    """Samples that `resample` makes of `num_samples`.

    >>> resampled_length(1000, 44100, 16000)
    363
    """
    # Rounded up, as resample_poly does.
    return math.ceil(Fraction(num_samples * to_rate, from_rate))


@functools.cache  # reports each pair of rates once per process
def notice_resampling(from_rate: int, to_rate: int) -> None:
    """Say once that audio of another rate is being resampled."""
    notice = f"audio at {from_rate} Hz is resampled to {to_rate} Hz while reading"
    print(f"notice: {notice}", file=sys.stderr)


def change_speed(wave_S: np.ndarray, speed: float) -> np.ndarray:
    """Play a wave faster; its pitch rises with it.

    Returns:
        A wave of `changed_length(S, speed)` samples.

    >>> change_speed(np.zeros(1100, np.float32), speed=1.1).shape
    (1000,)
    """
    if speed == 1:
        return wave_S
    ratio = _ratio(speed)
    return _resample(wave_S, ratio.denominator, ratio.numerator)


def changed_length(num_samples: int, speed: float) -> int:
    """Samples that `change_speed` makes of `num_samples`, about their number over the speed.

    >>> changed_length(1101, speed=1.1)
    1001
    """
    return math.ceil(num_samples / _ratio(speed))


def _resample(wave_S: np.ndarray, up: int, down: int) -> np.ndarray:
    # Imported here, as scipy.signal takes a second and most corpora need no resampling.
    from scipy.signal import resample_poly

    return resample_poly(wave_S, up, down, window=_filter(up, down, wave_S.dtype))


@functools.cache  # designing it takes as long as using it on a second of audio
def _filter(up: int, down: int, dtype: np.dtype) -> np.ndarray:
    """The filter that `resample_poly` designs itself, anew each time."""
    from scipy.signal import firwin

    largest = max(up, down)
    return firwin(20 * largest + 1, 1 / largest, window=("kaiser", 5.0)).astype(dtype)


def _ratio(speed: float) -> Fraction:
    # Steps of 5 % are ratios of small numbers, for which the filter is short.
    return Fraction(speed).limit_denominator(20)
