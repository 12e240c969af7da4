"""Arithmetic of mixtures: levels, lengths and rooms."""

from collections.abc import Sequence

import numpy as np


def scale_to_snr(signal: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """Scale `noise` so that the energy of `signal` exceeds its own by `snr_db`.

    Args:
        signal: (S,) what the level refers to.
        noise: (S,) of the same length.
        snr_db: 10 log10 of the ratio of energies.

    Returns:
        (S,) the scaled noise. Where either wave is silent no ratio exists and the noise comes back unchanged.
    """
    signal_energy = float(np.sum(np.square(signal, dtype=np.float64)))
    noise_energy = float(np.sum(np.square(noise, dtype=np.float64)))
    if signal_energy == 0.0 or noise_energy == 0.0:
        return noise
    gain = np.sqrt(signal_energy / noise_energy / 10 ** (snr_db / 10))
    return (noise * gain).astype(noise.dtype)


def pad_or_crop(wave: np.ndarray, num_samples: int, offset: int = 0) -> np.ndarray:
    """Put `wave` on a silent line of `num_samples`, its first sample at `offset`.

    What falls outside is cut; a negative `offset` therefore crops the start of `wave`.
    """
    line = np.zeros(num_samples, dtype=wave.dtype)
    start, stop = max(offset, 0), min(offset + len(wave), num_samples)
    if start < stop:
        line[start:stop] = wave[start - offset : stop - offset]
    return line


def convolve_rir(wave: np.ndarray, rir: np.ndarray) -> np.ndarray:
    """Put a dry wave (S,) into a room; the result (S,) is aligned to the direct path.

    The direct path is the largest peak of `rir` in magnitude. The response is divided by that peak, so the
    direct sound keeps the level and polarity of the dry wave and `wave` itself serves as the target.
    """
    from scipy.signal import fftconvolve

    direct = int(np.argmax(np.abs(rir)))
    wet = fftconvolve(wave, rir / rir[direct])
    return pad_or_crop(wet.astype(wave.dtype), len(wave), offset=-direct)


def peak_normalise(waves: Sequence[np.ndarray], peak: float = 0.9) -> list[np.ndarray]:
    """Scale all waves by one gain that brings the largest magnitude among them to `peak`.

    Pass a mixture together with its targets: sums stay sums. Silence comes back unchanged.
    """
    largest = max(float(np.max(np.abs(wave), initial=0.0)) for wave in waves)
    if largest == 0.0:
        return list(waves)
    return [(wave * (peak / largest)).astype(wave.dtype) for wave in waves]
