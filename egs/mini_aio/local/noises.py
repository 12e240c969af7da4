"""Background noises of many kinds, and rooms."""

from collections.abc import Callable

import numpy as np
from signals import SAMPLE_RATE, TAU, band_noise, num_samples_of, rms, times


def draw_noise(rng: np.random.Generator, num_samples: int) -> np.ndarray:
    """A noise of a random kind: float64 (num_samples,), RMS 1."""
    kinds = sorted(KINDS)
    index = int(rng.integers(len(kinds)))
    return render(kinds[index], rng, num_samples)


def render(kind: str, rng: np.random.Generator, num_samples: int) -> np.ndarray:
    """A noise of a kind named in KINDS: float64 (num_samples,), RMS 1."""
    synthesise = KINDS[kind]
    wave = synthesise(rng, num_samples)
    return wave / rms(wave)


def draw_rir(
    rng: np.random.Generator,
    low_rt60: float = 0.1,
    high_rt60: float = 0.4,
) -> np.ndarray:
    """A room impulse response: direct path 1 at sample 0, early reflections, decaying noise.

    Args:
        rng: where reverberation time, reflections and tail come from.
        low_rt60: shortest time in seconds until the tail is 60 dB down.
        high_rt60: longest such time.

    Returns:
        float64 (S,) of one reverberation time.
    """
    rt60 = rng.uniform(low_rt60, high_rt60)
    time = times(num_samples_of(rt60))
    decay = 10 ** (-3 * time / rt60)

    level = rng.uniform(0.03, 0.08)
    rir = level * rng.standard_normal(len(time)) * decay
    first = num_samples_of(0.005)
    last = num_samples_of(0.04)
    # Nothing arrives between the direct path and the first wall.
    rir[:first] = 0.0

    early = rng.integers(first, last, size=6)
    levels = rng.uniform(0.15, 0.5, size=6)
    signs = rng.choice([-1.0, 1.0], size=6)
    rir[early] += levels * signs * decay[early]
    rir[0] = 1.0
    return rir


def _coloured(rng: np.random.Generator, size: int, slope: float) -> np.ndarray:
    """Noise whose power falls as 1 / f ** slope above 100 Hz."""
    white = rng.standard_normal(size)
    spectrum = np.fft.rfft(white)
    frequency = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    # Flat below 100 Hz: the level would otherwise be that of what nobody hears.
    frequency = np.maximum(frequency, 100.0)
    amplitude = frequency ** (-slope / 2)
    return np.fft.irfft(spectrum * amplitude, size)


def _slow(rng: np.random.Generator, size: int, rate: float) -> np.ndarray:
    """A random curve between 0 and 1 that turns about `rate` times a second."""
    seconds = size / SAMPLE_RATE
    num_knots = int(seconds * rate) + 3
    knots = rng.random(num_knots)
    places = np.arange(size) * rate / SAMPLE_RATE
    return np.interp(places, np.arange(num_knots), knots)


def _white(rng: np.random.Generator, size: int) -> np.ndarray:
    return rng.standard_normal(size)


def _pink(rng: np.random.Generator, size: int) -> np.ndarray:
    return _coloured(rng, size, 1.0)


def _brown(rng: np.random.Generator, size: int) -> np.ndarray:
    return _coloured(rng, size, 2.0)


def _babble(rng: np.random.Generator, size: int) -> np.ndarray:
    """Six voice-like sources.

    Each period of a moving pitch is a burst at a moving formant, in syllables.
    """
    wave = np.zeros(size)
    for _ in range(6):
        mean_pitch = rng.uniform(90, 240)
        intonation = 0.85 + 0.3 * _slow(rng, size, 3.0)
        pitch = mean_pitch * intonation
        periods = np.cumsum(pitch) / SAMPLE_RATE
        # The angle within a period, from its middle, where the burst is.
        within = periods - np.round(periods)
        angle = TAU * within
        burst = np.exp(4 * np.cos(angle) - 4)

        formant = 3 + 12 * _slow(rng, size, 5.0)
        ringing = np.cos(formant * angle)
        syllables = _slow(rng, size, 5.0) ** 2
        wave += burst * ringing * syllables
    voices = wave / np.std(wave)
    hiss = 0.05 * rng.standard_normal(size)
    return voices + hiss


def _hum(rng: np.random.Generator, size: int) -> np.ndarray:
    """The harmonics of mains, of 50 or 60 Hz or rectified."""
    time = times(size)
    base = rng.choice([50.0, 60.0, 100.0, 120.0])
    tones = []
    for k in range(1, 12):
        level, offset = rng.random() / k, rng.uniform(0, 6)
        phase = TAU * base * k * time
        tone = np.sin(phase + offset)
        tones.append(level * tone)
    hiss = 0.05 * rng.standard_normal(size)
    return np.sum(tones, axis=0) + hiss


def _modulated(rng: np.random.Generator, size: int) -> np.ndarray:
    """Machine-like noise: a band that pulses several times a second."""
    low = rng.uniform(300, 1500)
    high = 2.5 * low
    rate = rng.uniform(4, 15)
    phase = TAU * rate * np.arange(size) / SAMPLE_RATE
    pulse = 1 + 0.9 * np.sin(phase)
    noise = band_noise(rng, size, low, high)
    return noise * pulse


def _wind(rng: np.random.Generator, size: int) -> np.ndarray:
    noise = _coloured(rng, size, 1.7)
    force = 0.2 + _slow(rng, size, 2.0)
    return noise * force**2


KINDS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "babble": _babble,
    "brown": _brown,
    "hum": _hum,
    "modulated": _modulated,
    "pink": _pink,
    "white": _white,
    "wind": _wind,
}
