"""Arithmetic of mixtures: levels, lengths, rooms and sums."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_FULL_SCALE = 2**15  # of 16-bit samples


@dataclass(frozen=True)
class Mixture:
    """An input and its targets, all (S,): the input is the sum of its targets and the background.

    Attributes:
        input: the mixture.
        targets: waves by the name of the target.
    """

    input: np.ndarray
    targets: dict[str, np.ndarray]


def mix(
    targets: Mapping[str, np.ndarray],
    background: np.ndarray | None = None,
    *,
    peak: float = 0.9,
) -> Mixture:
    """Sum waves (S,), all scaled by one gain.

    Every wave is rounded to the grid of 16-bit samples before the sum, so that 16-bit files of
    targets and background add up to that of the input exactly.

    Args:
        targets: waves by the name of the target.
        background: what belongs to no target, such as noise.
        peak: the largest magnitude among the waves and their sum.

    Returns:
        float32 waves.

    >>> made = mix({"spk1": np.array([0.5, 0.0]), "spk2": np.array([0.5, -0.25])}, peak=0.5)
    >>> made.input.tolist(), made.targets["spk2"].tolist()
    ([0.5, -0.125], [0.25, -0.125])
    """
    waves = list(targets.values())
    if background is not None:
        waves.append(background)
    total = np.sum(waves, axis=0)
    # The total takes part, as it may be the loudest, but it is summed again from what was rounded.
    _, *scaled = peak_normalise([total, *waves], peak)
    rounded = [_to_grid(wave) for wave in scaled]
    by_target = dict(zip(targets, rounded, strict=False))
    return Mixture(np.sum(rounded, axis=0), by_target)


def scale_to_snr(signal: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """Scale `noise` so that the energy of `signal` exceeds its own by `snr_db`.

    Args:
        signal: (S,) what the level refers to.
        noise: (S,) of the same length.
        snr_db: 10 log10 of the ratio of energies.

    Returns:
        (S,) the scaled noise; unchanged where either wave is silent, as no ratio exists then.

    >>> scale_to_snr(np.array([2.0, 0.0]), np.array([0.0, 5.0]), snr_db=0.0).tolist()
    [0.0, 2.0]
    """
    signal_energy, noise_energy = _energy(signal), _energy(noise)
    if signal_energy == 0.0 or noise_energy == 0.0:
        return noise
    ratio = 10 ** (snr_db / 10)
    gain = np.sqrt(signal_energy / noise_energy / ratio)
    return (noise * gain).astype(noise.dtype)


def pad_or_crop(wave: np.ndarray, num_samples: int, offset: int = 0) -> np.ndarray:
    """Place `wave` in a zero signal of `num_samples` at `offset`.

    What falls outside is cut; a negative `offset` therefore crops the start of `wave`.

    >>> pad_or_crop(np.array([1, 2, 3]), 4, offset=2).tolist()
    [0, 0, 1, 2]
    """
    placed = np.zeros(num_samples, dtype=wave.dtype)
    start = max(offset, 0)
    stop = min(offset + len(wave), num_samples)
    if start < stop:
        placed[start:stop] = wave[start - offset : stop - offset]
    return placed


def convolve_rir(wave: np.ndarray, rir: np.ndarray) -> np.ndarray:
    """Put a dry wave (S,) into a room; the result (S,) is aligned to the direct path.

    The direct path is the largest peak of `rir` in magnitude. The response is divided by that peak,
    so the direct sound keeps the level and polarity of the dry wave and `wave` itself serves as the
    target.

    >>> convolve_rir(np.array([1.0, 0.0, 0.0]), np.array([0.0, -2.0, 1.0])).round(6).tolist()
    [1.0, -0.5, 0.0]
    """
    from scipy.signal import fftconvolve

    direct = int(np.argmax(np.abs(rir)))
    response = rir / rir[direct]
    wet = fftconvolve(wave, response).astype(wave.dtype)
    return pad_or_crop(wet, len(wave), offset=-direct)


def peak_normalise(waves: Sequence[np.ndarray], peak: float = 0.9) -> list[np.ndarray]:
    """Scale all waves by one gain that brings the largest magnitude among them to `peak`.

    Pass a mixture together with its targets: sums stay sums. Silence comes back unchanged.

    >>> [wave.tolist() for wave in peak_normalise([np.array([2.0]), np.array([-4.0])], peak=1.0)]
    [[0.5], [-1.0]]
    """
    # An initial value, as np.max refuses a wave without samples.
    peaks = [np.max(np.abs(wave), initial=0.0) for wave in waves]
    largest = max(map(float, peaks))
    if largest == 0.0:
        return list(waves)
    gain = peak / largest
    return [(wave * gain).astype(wave.dtype) for wave in waves]


def _to_grid(wave: np.ndarray) -> np.ndarray:
    """The nearest values that 16-bit samples can hold."""
    steps = np.round(wave * _FULL_SCALE)
    # float32 holds all of them exactly, and their sums too.
    return (steps / _FULL_SCALE).astype(np.float32)


def _energy(wave: np.ndarray) -> float:
    # In float64, as float32 keeps few digits of a sum over a long wave.
    squares = np.square(wave, dtype=np.float64)
    return float(np.sum(squares))
