"""Synthesised sound events of twelve classes.

A recipe is a class and a point on its main axis (pitch, rate or size). The axis is cut into cells that
belong to one split each, so test events are neither copies nor small variations of training events.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

SAMPLE_RATE = 16_000
_CELLS, _STEPS = 24, 100  # cells of the main axis, points within a cell
_DEV_CELLS, _TEST_CELLS = (4, 16), (1, 7, 13, 19, 22)


@dataclass(frozen=True)
class Recipe:
    """What an event is: its class and its point on the class's main axis."""

    kind: str
    point: int

    @property
    def id(self) -> str:
        """Class and point as one word."""
        return f"{self.kind}{self.point:04d}"

    @property
    def position(self) -> float:
        """The point as a fraction of the axis, 0 to 1."""
        return self.point / (_CELLS * _STEPS)


def draw_recipes(rng: np.random.Generator, split: str, count: int) -> list[Recipe]:
    """`count` recipes of different classes from the cells of `split`."""
    cells = _cells(split)
    kinds = rng.permutation(sorted(KINDS))[:count]
    return [Recipe(str(kind), int(rng.choice(cells) * _STEPS + rng.integers(_STEPS))) for kind in kinds]


def render(recipe: Recipe, rng: np.random.Generator, num_samples: int) -> np.ndarray:
    """One event, float64 (num_samples,) with faded ends; details beyond the recipe come from `rng`.

    The level is an RMS of 0.1, less where the peak would exceed 1 (ticks).
    """
    wave = KINDS[recipe.kind](rng, recipe.position, np.arange(num_samples) / SAMPLE_RATE)
    fade = np.minimum(1.0, np.arange(num_samples) / 80)
    wave = wave * fade * fade[::-1]
    return wave * min(0.1 / np.sqrt(np.mean(wave**2)), 1.0 / np.max(np.abs(wave)))


def _cells(split: str) -> tuple[int, ...]:
    if split == "train":
        return tuple(cell for cell in range(_CELLS) if cell not in _DEV_CELLS + _TEST_CELLS)
    return {"dev": _DEV_CELLS, "test": _TEST_CELLS}[split]


def _between(low: float, high: float, position: float) -> float:
    """A point between two positive bounds, on a logarithmic scale."""
    return low * (high / low) ** position


def _phase(frequency: np.ndarray) -> np.ndarray:
    return 2 * np.pi * np.cumsum(frequency) / SAMPLE_RATE


def _band(rng: np.random.Generator, size: int, low: float, high: float) -> np.ndarray:
    """Noise between two frequencies in Hz."""
    from scipy.signal import butter, sosfilt

    band = butter(2, (low, high), "bandpass", fs=SAMPLE_RATE, output="sos")
    return sosfilt(band, rng.standard_normal(size))


def _repeat(
    rng: np.random.Generator, t: np.ndarray, period: float, strike: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Sum of `strike(time since onset)` at onsets `period` seconds apart with a random start."""
    wave = np.zeros_like(t)
    for onset in np.arange(rng.uniform(0, 0.3) * period, t[-1], period):
        start = int(onset * SAMPLE_RATE)
        wave[start:] += strike(t[: len(t) - start])
    return wave


def _bell(rng, position, t):
    base = _between(300, 1200, position)
    partials = np.array([0.5, 1.0, 1.19, 1.56, 2.0, 2.66, 3.01])
    levels = rng.uniform(0.3, 1.0, len(partials))

    def strike(s):
        tones = np.sin(2 * np.pi * base * partials[:, None] * s) * np.exp(-2.5 * partials[:, None] * s)
        return levels @ tones

    return _repeat(rng, t, rng.uniform(0.5, 0.9), strike)


def _siren(rng, position, t):
    centre = _between(500, 1100, position)
    sway = np.sin(2 * np.pi * rng.uniform(1.0, 2.5) * t + rng.uniform(0, 6))
    phase = _phase(centre * 1.4**sway)
    return np.sin(phase) + 0.3 * np.sin(2 * phase) + 0.1 * np.sin(3 * phase)


def _engine(rng, position, t):
    rate = _between(25, 70, position) * (1 + 0.15 * np.sin(2 * np.pi * rng.uniform(0.2, 0.6) * t))
    phase = _phase(rate)
    tone = sum(np.sin(k * phase + rng.uniform(0, 6)) / k**0.7 for k in range(1, 14))
    return tone * (1 + 0.4 * np.sin(phase / 2)) + 0.5 * _band(rng, len(t), 80, 600)


def _bark(rng, position, t):
    base = _between(220, 600, position)

    def strike(s):
        phase = _phase(base * (1 + 0.6 * np.exp(-s / 0.03)) * np.exp(-1.5 * s))
        voice = sum(np.sin(k * phase) / k for k in range(1, 9))
        rough = 0.6 * _band(rng, len(s), base, 4 * base)
        return (voice + rough) * np.minimum(1, s / 0.01) * np.exp(-((s / 0.14) ** 2))

    return _repeat(rng, t, rng.uniform(0.35, 0.6), strike)


def _rain(rng, position, t):
    drops = rng.random(len(t)) < _between(300, 3000, position) / SAMPLE_RATE
    size = drops * rng.uniform(0.3, 1.0, len(t)) * rng.choice([-1.0, 1.0], len(t))
    crackle = np.convolve(size, np.exp(-np.arange(40) / 8) * np.cos(np.arange(40) * 1.9))[: len(t)]
    return crackle + 0.08 * _band(rng, len(t), 2500, 7500)


def _clock(rng, position, t):
    tone = _between(1800, 4500, position)

    def strike(s):
        return np.exp(-s / 0.008) * (np.sin(2 * np.pi * tone * s) + 0.6 * np.sin(2 * np.pi * 1.7 * tone * s))

    return _repeat(rng, t, rng.uniform(0.2, 0.4), strike)


def _chirp(rng, position, t):
    base = _between(2000, 4500, position)
    depth, length = rng.uniform(0.15, 0.35), rng.uniform(0.08, 0.15)

    def strike(s):
        glide = base * (1 + depth * np.sin(np.pi * s / length))
        return np.sin(_phase(glide)) * np.sin(np.pi * np.minimum(s / length, 1)) ** 2

    return _repeat(rng, t, rng.uniform(0.18, 0.3), strike)


def _knock(rng, position, t):
    tone = _between(90, 300, position)

    def strike(s):
        body = np.sin(2 * np.pi * tone * s) + 0.5 * np.sin(2 * np.pi * 2.3 * tone * s)
        return body * np.exp(-s / 0.035) + 0.4 * rng.standard_normal(len(s)) * np.exp(-s / 0.004)

    return _repeat(rng, t, rng.uniform(0.18, 0.35), strike)


def _alarm(rng, position, t):
    phase = 2 * np.pi * _between(700, 2200, position) * t
    square = np.sin(phase) + np.sin(3 * phase) / 3 + np.sin(5 * phase) / 5
    gate = np.sin(2 * np.pi * rng.uniform(3, 7) * t + rng.uniform(0, 6))
    return square * np.clip(8 * gate, 0, 1)


def _drops(rng, position, t):
    base = _between(500, 1500, position)

    def strike(s):
        pitch = base * rng.uniform(0.85, 1.2) * (1 + 6 * np.minimum(s, 0.12))
        return np.sin(_phase(pitch)) * np.minimum(1, s / 0.003) * np.exp(-s / 0.03)

    return _repeat(rng, t, rng.uniform(0.15, 0.3), strike)


def _horn(rng, position, t):
    base = _between(180, 420, position)
    chord = np.array([1.0, 1.26])[:, None] * base
    phase = 2 * np.pi * chord * t
    tone = sum((np.sin(k * phase + rng.uniform(0, 6)) / k**0.5).sum(0) for k in range(1, 11))
    return tone * np.minimum(1, t / 0.05)


def _sweep(rng, position, t):
    start = _between(200, 900, position)
    fraction = (t * rng.uniform(0.8, 1.6) + rng.uniform(0, 1)) % 1.0
    phase = _phase(start * 8**fraction)
    return np.sin(phase) * np.sin(np.pi * fraction) ** 0.5


KINDS: dict[str, Callable[[np.random.Generator, float, np.ndarray], np.ndarray]] = {
    "alarm": _alarm,
    "bark": _bark,
    "bell": _bell,
    "chirp": _chirp,
    "clock": _clock,
    "drops": _drops,
    "engine": _engine,
    "horn": _horn,
    "knock": _knock,
    "rain": _rain,
    "siren": _siren,
    "sweep": _sweep,
}
