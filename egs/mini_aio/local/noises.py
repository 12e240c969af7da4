"""Background noises of many kinds, and rooms."""

from collections.abc import Callable

import numpy as np

SAMPLE_RATE = 16_000


def draw_noise(rng: np.random.Generator, num_samples: int) -> np.ndarray:
    """A noise of a random kind: float64 (num_samples,), RMS 1."""
    kind = sorted(KINDS)[int(rng.integers(len(KINDS)))]
    return render(kind, rng, num_samples)


def render(kind: str, rng: np.random.Generator, num_samples: int) -> np.ndarray:
    """A noise of a kind named in KINDS: float64 (num_samples,), RMS 1."""
    wave = KINDS[kind](rng, num_samples)
    return wave / np.sqrt(np.mean(wave**2))


def draw_rir(rng: np.random.Generator, low_rt60: float = 0.1, high_rt60: float = 0.4) -> np.ndarray:
    """A room impulse response: direct path 1 at sample 0, early reflections, exponentially decaying noise.

    Args:
        rng: where reverberation time, reflections and tail come from.
        low_rt60: shortest time in seconds until the tail is 60 dB down.
        high_rt60: longest such time.

    Returns:
        float64 (S,) of one reverberation time.
    """
    rt60 = rng.uniform(low_rt60, high_rt60)
    time = np.arange(int(rt60 * SAMPLE_RATE)) / SAMPLE_RATE
    decay = 10 ** (-3 * time / rt60)
    rir = rng.uniform(0.03, 0.08) * rng.standard_normal(len(time)) * decay
    rir[: int(0.005 * SAMPLE_RATE)] = 0.0  # nothing arrives between the direct path and the first wall
    early = rng.integers(int(0.005 * SAMPLE_RATE), int(0.04 * SAMPLE_RATE), size=6)
    rir[early] += rng.uniform(0.15, 0.5, size=6) * rng.choice([-1.0, 1.0], size=6) * decay[early]
    rir[0] = 1.0
    return rir


def _coloured(rng: np.random.Generator, size: int, slope: float) -> np.ndarray:
    """Noise whose power falls as 1 / f ** slope above 100 Hz."""
    spectrum = np.fft.rfft(rng.standard_normal(size))
    frequency = np.maximum(np.fft.rfftfreq(size, 1 / SAMPLE_RATE), 100.0)
    return np.fft.irfft(spectrum * frequency ** (-slope / 2), size)


def _slow(rng: np.random.Generator, size: int, rate: float) -> np.ndarray:
    """A random curve between 0 and 1 that turns about `rate` times a second."""
    knots = rng.random(int(size / SAMPLE_RATE * rate) + 3)
    return np.interp(np.arange(size) * rate / SAMPLE_RATE, np.arange(len(knots)), knots)


def _white(rng: np.random.Generator, size: int) -> np.ndarray:
    return rng.standard_normal(size)


def _pink(rng: np.random.Generator, size: int) -> np.ndarray:
    return _coloured(rng, size, 1.0)


def _brown(rng: np.random.Generator, size: int) -> np.ndarray:
    return _coloured(rng, size, 2.0)


def _babble(rng: np.random.Generator, size: int) -> np.ndarray:
    """Six voice-like sources: each period of a moving pitch is a burst at a moving formant, in syllables."""
    wave = np.zeros(size)
    for _ in range(6):
        pitch = rng.uniform(90, 240) * (0.85 + 0.3 * _slow(rng, size, 3.0))
        phase = np.cumsum(pitch) / SAMPLE_RATE
        within = 2 * np.pi * (phase - np.round(phase))
        formant = 3 + 12 * _slow(rng, size, 5.0)
        wave += np.exp(4 * np.cos(within) - 4) * np.cos(formant * within) * _slow(rng, size, 5.0) ** 2
    return wave / np.std(wave) + 0.05 * rng.standard_normal(size)


def _hum(rng: np.random.Generator, size: int) -> np.ndarray:
    time = np.arange(size) / SAMPLE_RATE
    base = rng.choice([50.0, 60.0, 100.0, 120.0])
    tones = [rng.random() / k * np.sin(2 * np.pi * base * k * time + rng.uniform(0, 6)) for k in range(1, 12)]
    return np.sum(tones, axis=0) + 0.05 * rng.standard_normal(size)


def _modulated(rng: np.random.Generator, size: int) -> np.ndarray:
    """Machine-like noise: a band that pulses several times a second."""
    from scipy.signal import butter, sosfilt

    low = rng.uniform(300, 1500)
    band = butter(2, (low, 2.5 * low), "bandpass", fs=SAMPLE_RATE, output="sos")
    pulse = 1 + 0.9 * np.sin(2 * np.pi * rng.uniform(4, 15) * np.arange(size) / SAMPLE_RATE)
    return sosfilt(band, rng.standard_normal(size)) * pulse


def _wind(rng: np.random.Generator, size: int) -> np.ndarray:
    return _coloured(rng, size, 1.7) * (0.2 + _slow(rng, size, 2.0)) ** 2


KINDS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "babble": _babble,
    "brown": _brown,
    "hum": _hum,
    "modulated": _modulated,
    "pink": _pink,
    "white": _white,
    "wind": _wind,
}
