"""Short songs of four stems: vocals, drums, bass and other (chords or arpeggio)."""

from dataclasses import dataclass

import numpy as np

SAMPLE_RATE = 16_000
STEMS = ("vocals", "drums", "bass", "other")

# Roots of the chords in semitones above the key, with the third of each (4 major, 3 minor).
_PROGRESSIONS = (
    ((0, 4), (7, 4), (9, 3), (5, 4)),
    ((9, 3), (5, 4), (0, 4), (7, 4)),
    ((0, 4), (5, 4), (7, 4), (5, 4)),
    ((2, 3), (7, 4), (0, 4), (9, 3)),
    ((0, 3), (8, 4), (3, 4), (10, 4)),
)
# Sixteenths of a bar with a hit.
_KICKS = ((0, 8), (0, 6, 10), (0, 4, 8, 12), (0, 7, 8))
_SNARES = ((4, 12), (4, 12, 15), (8,), (4, 11))
_HATS = (tuple(range(0, 16, 2)), tuple(range(16)), (0, 3, 4, 7, 8, 11, 12, 15))
_BASS_STEPS = ((0, 4, 8, 12), (0, 2, 4, 6, 8, 10, 12, 14), (0, 3, 6, 8, 11, 14), (0, 6, 8, 14))
# First three formants in Hz of sung vowels (Peterson and Barney 1952, rounded means of men).
_VOWELS = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410))
_SCALE = (0, 2, 4, 5, 7, 9, 11, 12)


@dataclass(frozen=True)
class Song:
    """What the four stems of a song share.

    Attributes:
        tempo: quarter notes a minute.
        key: MIDI number of the tonic, octave of the chords.
        progression: four chords of half a bar, (root above the key, third) in semitones.
        start: sixteenth of the progression at which the excerpt begins.
    """

    tempo: float
    key: int
    progression: tuple[tuple[int, int], ...]
    start: int

    @property
    def step_seconds(self) -> float:
        """Length of a sixteenth."""
        return 15.0 / self.tempo

    def steps(self, seconds: float) -> list[tuple[float, int, tuple[int, int]]]:
        """The sixteenths of an excerpt: onset in seconds, position in the bar, chord."""
        count = int(np.ceil(seconds / self.step_seconds))
        places = [self.start + i for i in range(count)]
        return [(i * self.step_seconds, p % 16, self.progression[p // 8 % 4]) for i, p in enumerate(places)]


def draw_song(rng: np.random.Generator) -> Song:
    """A song with random tempo, key and chords."""
    progression = _PROGRESSIONS[int(rng.integers(len(_PROGRESSIONS)))]
    return Song(float(rng.uniform(85, 150)), int(rng.integers(52, 64)), progression, int(rng.integers(8)) * 4)


def render(song: Song, rng: np.random.Generator, num_samples: int) -> dict[str, np.ndarray]:
    """The stems of an excerpt: name to float64 (num_samples,); their levels differ by a few dB."""
    stems = {
        "vocals": _vocals(song, rng, num_samples),
        "drums": _drums(song, rng, num_samples),
        "bass": _bass(song, rng, num_samples),
        "other": _other(song, rng, num_samples),
    }
    return {
        name: wave * 10 ** (rng.uniform(-4, 2) / 20) * 0.1 / np.sqrt(np.mean(wave**2)) for name, wave in stems.items()
    }


def _hertz(midi: np.ndarray | float) -> np.ndarray | float:
    return 440.0 * 2.0 ** ((midi - 69) / 12)


def _add(line: np.ndarray, note: np.ndarray, onset: float) -> None:
    start = int(onset * SAMPLE_RATE)
    stop = min(start + len(note), len(line))
    line[start:stop] += note[: stop - start]


def _time(seconds: float) -> np.ndarray:
    return np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def _envelope(time: np.ndarray, attack: float, release: float) -> np.ndarray:
    return np.clip(np.minimum(time / attack, (time[-1] - time) / release), 0.0, 1.0)


def _vocals(song: Song, rng: np.random.Generator, num_samples: int) -> np.ndarray:
    """Sung vowels: harmonics of a gliding, vibrating pitch, weighted by the formants of the vowel."""
    line = np.zeros(num_samples)
    octave = rng.choice([0, 12])
    tract = rng.uniform(0.95, 1.05) if octave == 0 else rng.uniform(1.1, 1.25)
    vibrato_rate, vibrato_depth = rng.uniform(4.5, 6.5), rng.uniform(0.2, 0.5)
    onset, end = 0.0, num_samples / SAMPLE_RATE
    previous = float(rng.choice(_SCALE))
    while onset < end:
        seconds = song.step_seconds * float(rng.choice([2, 4, 6]))
        target = float(rng.choice(_SCALE))
        time = _time(seconds)
        glide = target + (previous - target) * np.exp(-time / 0.04)
        vibrato = vibrato_depth * np.sin(2 * np.pi * vibrato_rate * time) * np.minimum(1, time / 0.15)
        pitch = _hertz(song.key + octave + glide + vibrato)
        vowel = np.array(_VOWELS[int(rng.integers(len(_VOWELS)))]) * tract
        _add(line, _sing(pitch, vowel, rng) * _envelope(time, 0.03, 0.05), onset)
        onset, previous = onset + seconds, target
    return line


def _sing(pitch: np.ndarray, formants: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    harmonics = np.arange(1, int(min(4500 / pitch.max(), 30)) + 1)
    centre = harmonics * np.median(pitch)
    widths = np.array([80.0, 110.0, 160.0])
    resonance = (np.array([1.0, 0.6, 0.35]) / (1 + ((centre[:, None] - formants) / widths) ** 2)).sum(1)
    levels = (resonance + 0.02) / harmonics**0.3
    return levels @ np.sin(harmonics[:, None] * phase + rng.uniform(0, 6, len(harmonics))[:, None])


def _drums(song: Song, rng: np.random.Generator, num_samples: int) -> np.ndarray:
    line = np.zeros(num_samples)
    kit = {
        "kick": (_kick(rng), _KICKS[int(rng.integers(len(_KICKS)))]),
        "snare": (_snare(rng), _SNARES[int(rng.integers(len(_SNARES)))]),
        "hat": (_hat(rng), _HATS[int(rng.integers(len(_HATS)))]),
    }
    for onset, place, _chord in song.steps(num_samples / SAMPLE_RATE):
        for sound, pattern in kit.values():
            if place in pattern:
                _add(line, sound * rng.uniform(0.8, 1.0), onset)
    return line


def _kick(rng: np.random.Generator) -> np.ndarray:
    time = _time(0.25)
    pitch = rng.uniform(42, 60) + rng.uniform(80, 160) * np.exp(-time / 0.025)
    return 1.2 * np.sin(2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE) * np.exp(-time / 0.08)


def _snare(rng: np.random.Generator) -> np.ndarray:
    time = _time(0.2)
    tone = np.sin(2 * np.pi * rng.uniform(170, 230) * time) * np.exp(-time / 0.04)
    return 0.5 * tone + 0.35 * rng.standard_normal(len(time)) * np.exp(-time / rng.uniform(0.04, 0.07))


def _hat(rng: np.random.Generator) -> np.ndarray:
    time = _time(0.1)
    bright = np.diff(rng.standard_normal(len(time) + 2), n=2)  # a high-pass of 12 dB an octave
    return 0.12 * bright * np.exp(-time / rng.uniform(0.012, 0.03))


def _bass(song: Song, rng: np.random.Generator, num_samples: int) -> np.ndarray:
    line = np.zeros(num_samples)
    pattern = _BASS_STEPS[int(rng.integers(len(_BASS_STEPS)))]
    harmonics = np.arange(1, 7)
    levels = rng.uniform(0.5, 1.0, len(harmonics)) / harmonics ** rng.uniform(1.0, 1.8)
    for onset, place, (root, _third) in song.steps(num_samples / SAMPLE_RATE):
        if place in pattern or onset == 0.0:
            time = _time(song.step_seconds * rng.choice([3.0, 4.0]))
            pitch = _hertz(song.key - 24 + root % 12 + float(rng.choice([0, 0, 0, 7])))
            note = levels @ np.sin(2 * np.pi * pitch * harmonics[:, None] * time)
            _add(line, note * _envelope(time, 0.008, 0.03) * np.exp(-time / 0.5), onset)
    return line


def _other(song: Song, rng: np.random.Generator, num_samples: int) -> np.ndarray:
    """Held chords or an arpeggio, bright or soft, by the draw."""
    line = np.zeros(num_samples)
    arpeggio = bool(rng.random() < 0.5)
    decay = rng.uniform(0.15, 0.4) if arpeggio else 1.5
    harmonics = np.arange(1, 9)
    levels = rng.uniform(0.2, 1.0, len(harmonics)) / harmonics ** rng.uniform(0.6, 1.4)
    for onset, place, (root, third) in song.steps(num_samples / SAMPLE_RATE):
        chord = song.key + 12 + root % 12 + np.array([0, third, 7])
        if arpeggio and place % 2 == 0:
            notes, seconds = chord[[place // 2 % 3]], 4 * song.step_seconds
        elif not arpeggio and (place % 8 == 0 or onset == 0.0):
            notes, seconds = chord, (8 - place % 8) * song.step_seconds
        else:
            continue
        time = _time(seconds)
        for pitch in _hertz(notes.astype(float)):
            audible = harmonics * pitch < 7000
            tones = np.sin(2 * np.pi * pitch * harmonics[audible, None] * time + rng.uniform(0, 6))
            _add(line, levels[audible] @ tones * _envelope(time, 0.01, 0.05) * np.exp(-time / decay), onset)
    return line
