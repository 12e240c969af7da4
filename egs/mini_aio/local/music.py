"""Short songs of four stems: vocals, drums, bass and other (chords or arpeggio)."""

from collections.abc import Sequence

import numpy as np
from signals import (
    SAMPLE_RATE,
    TAU,
    decay,
    num_samples_of,
    phase_of,
    rise,
    rms,
    sine,
    times,
)
from songs import Song

STEMS = ("vocals", "drums", "bass", "other")

# Sixteenths of a bar with a hit.
_KICKS = ((0, 8), (0, 6, 10), (0, 4, 8, 12), (0, 7, 8))
_SNARES = ((4, 12), (4, 12, 15), (8,), (4, 11))
_HATS = (tuple(range(0, 16, 2)), tuple(range(16)), (0, 3, 4, 7, 8, 11, 12, 15))
_BASS_STEPS = (
    (0, 4, 8, 12),
    (0, 2, 4, 6, 8, 10, 12, 14),
    (0, 3, 6, 8, 11, 14),
    (0, 6, 8, 14),
)
# First three formants in Hz of sung vowels (Peterson and Barney 1952, rounded means of men).
_VOWELS = (
    (730, 1090, 2440),
    (270, 2290, 3010),
    (300, 870, 2240),
    (530, 1840, 2480),
    (570, 840, 2410),
)
_FORMANT_LEVELS = np.array([1.0, 0.6, 0.35])
_FORMANT_WIDTHS = np.array([80.0, 110.0, 160.0])  # Hz
_SCALE = (0, 2, 4, 5, 7, 9, 11, 12)  # major, in semitones above the key
_HIGHEST = 7000  # Hz: a harmonic above it could alias


def render(song: Song, rng: np.random.Generator, num_samples: int) -> dict[str, np.ndarray]:
    """The stems of an excerpt: name to float64 (num_samples,); their levels differ by a few dB."""
    stems = {
        "vocals": _vocals(song, rng, num_samples),
        "drums": _drums(song, rng, num_samples),
        "bass": _bass(song, rng, num_samples),
        "other": _other(song, rng, num_samples),
    }
    for name, wave in stems.items():
        gain_db = rng.uniform(-4, 2)
        gain = 10 ** (gain_db / 20)
        stems[name] = wave * gain * 0.1 / rms(wave)
    return stems


def _pick[Item](items: Sequence[Item], rng: np.random.Generator) -> Item:
    index = int(rng.integers(len(items)))
    return items[index]


def _hertz(midi: np.ndarray) -> np.ndarray:
    """Frequencies of MIDI numbers: A of 440 Hz is 69."""
    octaves = (midi - 69) / 12
    return 440.0 * 2.0**octaves


def _add(stem: np.ndarray, note: np.ndarray, onset: float) -> None:
    """Add a note to a stem at `onset` seconds, cut at the stem's end."""
    start = num_samples_of(onset)
    stop = min(start + len(note), len(stem))
    fitting = note[: stop - start]
    stem[start:stop] += fitting


def _time(seconds: float) -> np.ndarray:
    """The times of the samples of a note, in seconds."""
    return times(num_samples_of(seconds))


def _envelope(time: np.ndarray, attack: float, release: float) -> np.ndarray:
    """A rise and a fall of so many seconds, at the start and the end of a note."""
    end = time[-1]
    rising = time / attack
    falling = (end - time) / release
    shape = np.minimum(rising, falling)
    return np.clip(shape, 0.0, 1.0)


def _vocals(song: Song, rng: np.random.Generator, num_samples: int) -> np.ndarray:
    """Sung vowels.

    They are harmonics of a gliding, vibrating pitch, weighted by the formants of the vowel.
    """
    stem = np.zeros(num_samples)
    octave = rng.choice([0, 12])
    # A shorter vocal tract, for a higher voice, has higher formants.
    tract = rng.uniform(0.95, 1.05) if octave == 0 else rng.uniform(1.1, 1.25)
    vibrato_rate, vibrato_depth = rng.uniform(4.5, 6.5), rng.uniform(0.2, 0.5)
    previous = float(rng.choice(_SCALE))
    onset, end = 0.0, num_samples / SAMPLE_RATE
    while onset < end:
        num_steps = float(rng.choice([2, 4, 6]))
        seconds = song.step_seconds * num_steps
        target = float(rng.choice(_SCALE))
        time = _time(seconds)

        glide = target + (previous - target) * decay(time, 0.04)
        swing = vibrato_depth * sine(vibrato_rate, time)
        # A singer's vibrato sets in after the note.
        vibrato = swing * rise(time, 0.15)
        pitch = _hertz(song.key + octave + glide + vibrato)

        vowel = np.array(_pick(_VOWELS, rng))
        voice = _sing(pitch, vowel * tract, rng)
        _add(stem, voice * _envelope(time, 0.03, 0.05), onset)
        onset += seconds
        previous = target
    return stem


def _sing(pitch: np.ndarray, formants: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One vowel: `pitch` (S,) and `formants` (3,) in Hz."""
    highest = int(min(4500 / pitch.max(), 30))
    harmonics = np.arange(1, highest + 1)[:, None]

    centre = harmonics * np.median(pitch)
    distance = (centre - formants) / _FORMANT_WIDTHS
    resonance = _FORMANT_LEVELS / (1 + distance**2)
    # Between the formants a voice is soft, not silent.
    levels = resonance.sum(1) + 0.02
    levels = levels / harmonics[:, 0] ** 0.3

    offsets = rng.uniform(0, 6, harmonics.shape)
    phases = harmonics * phase_of(pitch)
    tones = np.sin(phases + offsets)
    return levels @ tones


def _drums(song: Song, rng: np.random.Generator, num_samples: int) -> np.ndarray:
    """A pattern each for kick, snare and hat."""
    stem = np.zeros(num_samples)
    kit = [
        (_kick(rng), _pick(_KICKS, rng)),
        (_snare(rng), _pick(_SNARES, rng)),
        (_hat(rng), _pick(_HATS, rng)),
    ]
    for step in song.steps(num_samples):
        for sound, pattern in kit:
            if step.place in pattern:
                force = rng.uniform(0.8, 1.0)
                _add(stem, sound * force, step.onset)
    return stem


def _kick(rng: np.random.Generator) -> np.ndarray:
    time = _time(0.25)
    low = rng.uniform(42, 60)
    jump = rng.uniform(80, 160)
    # A struck skin is tight at first, so that the pitch falls.
    pitch = low + jump * decay(time, 0.025)
    tone = np.sin(phase_of(pitch))
    return 1.2 * tone * decay(time, 0.08)


def _snare(rng: np.random.Generator) -> np.ndarray:
    time = _time(0.2)
    pitch = rng.uniform(170, 230)
    skin = sine(pitch, time) * decay(time, 0.04)
    noise = 0.35 * rng.standard_normal(len(time))
    length = rng.uniform(0.04, 0.07)
    wires = noise * decay(time, length)
    return 0.5 * skin + wires


def _hat(rng: np.random.Generator) -> np.ndarray:
    time = _time(0.1)
    noise = rng.standard_normal(len(time) + 2)
    # The second difference is a high-pass of 12 dB an octave.
    bright = np.diff(noise, n=2)
    length = rng.uniform(0.012, 0.03)
    return 0.12 * bright * decay(time, length)


def _bass(song: Song, rng: np.random.Generator, num_samples: int) -> np.ndarray:
    """Roots of the chords two octaves down, now and then a fifth."""
    stem = np.zeros(num_samples)
    pattern = _pick(_BASS_STEPS, rng)
    harmonics = np.arange(1, 7)
    levels = rng.uniform(0.5, 1.0, len(harmonics))
    slope = rng.uniform(1.0, 1.8)
    levels = levels / harmonics**slope
    for step in song.steps(num_samples):
        # The excerpt may begin within a note.
        if step.place in pattern or step.onset == 0.0:
            num_steps = rng.choice([3.0, 4.0])
            time = _time(song.step_seconds * num_steps)
            root = song.key - 24 + step.root % 12
            fifth = float(rng.choice([0, 0, 0, 7]))
            pitch = _hertz(root + fifth)

            phases = TAU * pitch * harmonics[:, None] * time
            tone = levels @ np.sin(phases)
            note = tone * _envelope(time, 0.008, 0.03)
            _add(stem, note * decay(time, 0.5), step.onset)
    return stem


def _other(song: Song, rng: np.random.Generator, num_samples: int) -> np.ndarray:
    """Held chords or an arpeggio, bright or soft, by the draw."""
    stem = np.zeros(num_samples)
    arpeggio = bool(rng.random() < 0.5)
    length = rng.uniform(0.15, 0.4) if arpeggio else 1.5
    harmonics = np.arange(1, 9)
    levels = rng.uniform(0.2, 1.0, len(harmonics))
    slope = rng.uniform(0.6, 1.4)
    levels = levels / harmonics**slope
    for step in song.steps(num_samples):
        place = step.place
        root = song.key + 12 + step.root % 12
        chord = root + np.array([0.0, step.third, 7.0])
        if arpeggio and place % 2 == 0:
            note = place // 2 % 3
            notes, num_steps = chord[[note]], 4
        elif not arpeggio and (place % 8 == 0 or step.onset == 0.0):
            # Until the next chord, half a bar later at most.
            notes, num_steps = chord, 8 - place % 8
        else:
            continue

        time = _time(num_steps * song.step_seconds)
        envelope = _envelope(time, 0.01, 0.05)
        for pitch in _hertz(notes):
            audible = harmonics * pitch < _HIGHEST
            phases = TAU * pitch * harmonics[audible, None] * time
            tones = np.sin(phases + rng.uniform(0, 6))
            tone = levels[audible] @ tones
            note = tone * envelope * decay(time, length)
            _add(stem, note, step.onset)
    return stem
