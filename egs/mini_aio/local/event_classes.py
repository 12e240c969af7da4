"""How each class of sound events is synthesised.

A class has a main axis (pitch, rate or size), on which an event has a position from 0 to 1.
Letters: t times of the samples in seconds, s the same since an onset.
"""

from collections.abc import Callable

import numpy as np
from signals import SAMPLE_RATE, TAU, band_noise, decay, num_samples_of, phase_of, rise, sine

# From a generator, a position on the main axis (0 to 1) and the times of the samples in seconds.
Synthesise = Callable[[np.random.Generator, float, np.ndarray], np.ndarray]


def _between(low: float, high: float, position: float) -> float:
    """A point between two positive bounds, on a logarithmic scale."""
    ratio = high / low
    return low * ratio**position


def _buzz(phase: np.ndarray, count: int, slope: float, offsets: np.ndarray) -> np.ndarray:
    """The first `count` harmonics of a phase, the k-th with an amplitude of k ** -slope."""
    wave = np.zeros_like(phase)
    for k in range(1, count + 1):
        offset = offsets[k - 1]
        harmonic = np.sin(k * phase + offset)
        wave += harmonic / k**slope
    return wave


def _repeat(
    rng: np.random.Generator,
    t: np.ndarray,
    period: float,
    strike: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Sum of `strike(time since onset)` at onsets `period` seconds apart with a random start."""
    wave = np.zeros_like(t)
    first = rng.uniform(0, 0.3) * period
    for onset in np.arange(first, t[-1], period):
        start = num_samples_of(onset)
        since_onset = t[: len(t) - start]
        wave[start:] += strike(since_onset)
    return wave


def _bell(rng: np.random.Generator, position: float, t: np.ndarray) -> np.ndarray:
    base = _between(300, 1200, position)
    # The partials of a church bell: hum, prime, tierce, quint, nominal and two above.
    partials = np.array([0.5, 1.0, 1.19, 1.56, 2.0, 2.66, 3.01])
    levels = rng.uniform(0.3, 1.0, len(partials))
    partials = partials[:, None]

    def _strike(s: np.ndarray) -> np.ndarray:
        phase = TAU * base * partials * s
        # High partials die first.
        fading = np.exp(-2.5 * partials * s)
        tones = np.sin(phase) * fading
        return levels @ tones

    period = rng.uniform(0.5, 0.9)
    return _repeat(rng, t, period, _strike)


def _siren(rng: np.random.Generator, position: float, t: np.ndarray) -> np.ndarray:
    centre = _between(500, 1100, position)
    rate = rng.uniform(1.0, 2.5)
    sway = sine(rate, t, rng.uniform(0, 6))
    frequency = centre * 1.4**sway
    phase = phase_of(frequency)

    first = np.sin(phase)
    second = 0.3 * np.sin(2 * phase)
    third = 0.1 * np.sin(3 * phase)
    return first + second + third


def _engine(rng: np.random.Generator, position: float, t: np.ndarray) -> np.ndarray:
    drift_rate = rng.uniform(0.2, 0.6)
    drift = 1 + 0.15 * sine(drift_rate, t)
    turns_per_second = _between(25, 70, position)
    phase = phase_of(turns_per_second * drift)

    count = 13
    offsets = rng.uniform(0, 6, count)
    tone = _buzz(phase, count, 0.7, offsets)
    # Of a four-stroke engine a cylinder fires at every second turn.
    firing = 1 + 0.4 * np.sin(phase / 2)
    exhaust = 0.5 * band_noise(rng, len(t), 80, 600)
    return tone * firing + exhaust


def _bark(rng: np.random.Generator, position: float, t: np.ndarray) -> np.ndarray:
    base = _between(220, 600, position)
    in_phase = np.zeros(8)

    def _strike(s: np.ndarray) -> np.ndarray:
        # The pitch jumps up at the onset and sinks from there on.
        jump = 1 + 0.6 * decay(s, 0.03)
        sinking = np.exp(-1.5 * s)
        phase = phase_of(base * jump * sinking)
        voice = _buzz(phase, len(in_phase), 1, in_phase)
        rough = band_noise(rng, len(s), base, 4 * base)
        sound = voice + 0.6 * rough

        relative = s / 0.14
        fading = np.exp(-(relative**2))
        return sound * rise(s, 0.01) * fading

    period = rng.uniform(0.35, 0.6)
    return _repeat(rng, t, period, _strike)


def _rain(rng: np.random.Generator, position: float, t: np.ndarray) -> np.ndarray:
    drops_per_second = _between(300, 3000, position)
    probability = drops_per_second / SAMPLE_RATE
    is_drop = rng.random(len(t)) < probability
    sizes = rng.uniform(0.3, 1.0, len(t))
    signs = rng.choice([-1.0, 1.0], len(t))
    drops = is_drop * sizes * signs

    samples = np.arange(40)
    ringing = np.cos(samples * 1.9)
    click = decay(samples, 8) * ringing
    crackle = np.convolve(drops, click)
    crackle = crackle[: len(t)]
    hiss = band_noise(rng, len(t), 2500, 7500)
    return crackle + 0.08 * hiss


def _clock(rng: np.random.Generator, position: float, t: np.ndarray) -> np.ndarray:
    tone = _between(1800, 4500, position)

    def _strike(s: np.ndarray) -> np.ndarray:
        low = sine(tone, s)
        phase = TAU * 1.7 * tone * s
        both = low + 0.6 * np.sin(phase)
        return decay(s, 0.008) * both

    period = rng.uniform(0.2, 0.4)
    return _repeat(rng, t, period, _strike)


def _chirp(rng: np.random.Generator, position: float, t: np.ndarray) -> np.ndarray:
    base = _between(2000, 4500, position)
    depth, length = rng.uniform(0.15, 0.35), rng.uniform(0.08, 0.15)

    def _strike(s: np.ndarray) -> np.ndarray:
        bow = np.sin(np.pi * s / length)
        frequency = base * (1 + depth * bow)
        tone = np.sin(phase_of(frequency))
        # Silent after its length, though the next onset is later.
        progress = np.minimum(s / length, 1)
        envelope = np.sin(np.pi * progress) ** 2
        return tone * envelope

    period = rng.uniform(0.18, 0.3)
    return _repeat(rng, t, period, _strike)


def _knock(rng: np.random.Generator, position: float, t: np.ndarray) -> np.ndarray:
    tone = _between(90, 300, position)

    def _strike(s: np.ndarray) -> np.ndarray:
        low = sine(tone, s)
        phase = TAU * 2.3 * tone * s
        both = low + 0.5 * np.sin(phase)
        body = both * decay(s, 0.035)
        noise = 0.4 * rng.standard_normal(len(s))
        click = noise * decay(s, 0.004)
        return body + click

    period = rng.uniform(0.18, 0.35)
    return _repeat(rng, t, period, _strike)


def _alarm(rng: np.random.Generator, position: float, t: np.ndarray) -> np.ndarray:
    tone = _between(700, 2200, position)
    phase = TAU * tone * t
    # The first harmonics of a square wave: shrill, as alarms are.
    first = np.sin(phase)
    third = np.sin(3 * phase) / 3
    fifth = np.sin(5 * phase) / 5
    square = first + third + fifth

    rate = rng.uniform(3, 7)
    swing = sine(rate, t, rng.uniform(0, 6))
    gate = np.clip(8 * swing, 0, 1)
    return square * gate


def _drops(rng: np.random.Generator, position: float, t: np.ndarray) -> np.ndarray:
    base = _between(500, 1500, position)

    def _strike(s: np.ndarray) -> np.ndarray:
        drop = base * rng.uniform(0.85, 1.2)
        # The bubble of a drop shrinks, so that its pitch rises.
        shrinking = 1 + 6 * np.minimum(s, 0.12)
        phase = phase_of(drop * shrinking)
        attack, fading = rise(s, 0.003), decay(s, 0.03)
        return np.sin(phase) * attack * fading

    period = rng.uniform(0.15, 0.3)
    return _repeat(rng, t, period, _strike)


def _horn(rng: np.random.Generator, position: float, t: np.ndarray) -> np.ndarray:
    base = _between(180, 420, position)
    major_third = np.array([[1.0], [1.26]])
    chord = major_third * base
    phase = TAU * chord * t

    tone = np.zeros_like(t)
    for k in range(1, 11):
        offset = rng.uniform(0, 6)
        both = np.sin(k * phase + offset) / k**0.5
        tone += both.sum(0)
    return tone * rise(t, 0.05)


def _sweep(rng: np.random.Generator, position: float, t: np.ndarray) -> np.ndarray:
    start = _between(200, 900, position)
    rate = rng.uniform(0.8, 1.6)
    place = t * rate + rng.uniform(0, 1)
    fraction = place % 1.0
    # Three octaves up, again and again; the envelope hides the jump back.
    frequency = start * 8**fraction
    envelope = np.sin(np.pi * fraction) ** 0.5
    tone = np.sin(phase_of(frequency))
    return tone * envelope


KINDS: dict[str, Synthesise] = {
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
