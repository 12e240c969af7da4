"""What the stems of a song have in common: tempo, key and chords."""

from dataclasses import dataclass

import numpy as np
from signals import SAMPLE_RATE

# Roots of the chords in semitones above the key, with the third of each (4 major, 3 minor).
_PROGRESSIONS = (
    ((0, 4), (7, 4), (9, 3), (5, 4)),
    ((9, 3), (5, 4), (0, 4), (7, 4)),
    ((0, 4), (5, 4), (7, 4), (5, 4)),
    ((2, 3), (7, 4), (0, 4), (9, 3)),
    ((0, 3), (8, 4), (3, 4), (10, 4)),
)


@dataclass(frozen=True)
class Step:
    """A sixteenth of an excerpt.

    Attributes:
        onset: in seconds.
        place: position in the bar, 0 to 15.
        root: of the chord, in semitones above the key.
        third: of the chord, in semitones above its root.
    """

    onset: float
    place: int
    root: int
    third: int


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

    def steps(self, num_samples: int) -> list[Step]:
        """The sixteenths of an excerpt."""
        seconds = num_samples / SAMPLE_RATE
        count = int(np.ceil(seconds / self.step_seconds))
        steps = []
        for i in range(count):
            sixteenth = self.start + i
            half_bar = sixteenth // 8
            # The progression starts over.
            root, third = self.progression[half_bar % 4]
            step = Step(
                onset=i * self.step_seconds,
                place=sixteenth % 16,
                root=root,
                third=third,
            )
            steps.append(step)
        return steps


def draw_song(rng: np.random.Generator) -> Song:
    """A song with random tempo, key and chords."""
    index = rng.integers(len(_PROGRESSIONS))
    return Song(
        progression=_PROGRESSIONS[int(index)],
        tempo=float(rng.uniform(85, 150)),
        key=int(rng.integers(52, 64)),
        start=4 * int(rng.integers(8)),
    )
