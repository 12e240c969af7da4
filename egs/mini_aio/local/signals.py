"""What synthesised sounds are put together from. Letters: S samples."""

import numpy as np

SAMPLE_RATE = 16_000
TAU = 2 * np.pi


def num_samples_of(seconds: float) -> int:
    """Whole samples in a time."""
    return int(seconds * SAMPLE_RATE)


def times(num_samples: int) -> np.ndarray:
    """The times (S,) of samples, in seconds."""
    return np.arange(num_samples) / SAMPLE_RATE


def phase_of(frequency_S: np.ndarray) -> np.ndarray:
    """The phase (S,) in radians of a tone whose frequency in Hz moves."""
    angle_S = TAU * np.cumsum(frequency_S)
    return angle_S / SAMPLE_RATE


def sine(
    frequency: float | np.ndarray,
    time: np.ndarray,
    offset: float | np.ndarray = 0.0,
) -> np.ndarray:
    """A tone of a fixed frequency in Hz; `offset` is its phase at time 0, in radians.

    Frequencies (N, 1) and times (S,) give N tones (N, S).
    """
    phase = TAU * frequency * time
    return np.sin(phase + offset)


def rise(time: np.ndarray, seconds: float) -> np.ndarray:
    """A straight line from 0 to 1 in so many seconds, and 1 from there on."""
    return np.minimum(1, time / seconds)


def decay(time: np.ndarray, seconds: float) -> np.ndarray:
    """1 at time 0, 1/e after so many seconds, and so on."""
    return np.exp(-time / seconds)


def rms(wave_S: np.ndarray) -> float:
    """Root of the mean square."""
    mean_square = np.mean(wave_S**2)
    return np.sqrt(mean_square)


def band_noise(rng: np.random.Generator, size: int, low: float, high: float) -> np.ndarray:
    """Noise (S,) between two frequencies in Hz."""
    # Imported here: it takes a second, and only some sounds need it.
    from scipy.signal import butter, sosfilt

    # Second-order sections, as a narrow band is unstable in the plain form.
    band = butter(2, (low, high), "bandpass", fs=SAMPLE_RATE, output="sos")
    white = rng.standard_normal(size)
    return sosfilt(band, white)
