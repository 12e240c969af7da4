"""Synthesised sound events of twelve classes.

A recipe is a class and a point on its main axis (pitch, rate or size). The axis is cut into cells
that belong to one split each, so test events are neither copies nor small variations of training
events.
"""

from dataclasses import dataclass

import numpy as np
from event_classes import KINDS
from signals import rise, rms, times

_CELLS, _STEPS = 24, 100  # cells of the main axis, points within a cell
_DEV_CELLS, _TEST_CELLS = (4, 16), (1, 7, 13, 19, 22)
_FADE_SAMPLES = 80  # 5 ms: short enough for a tick, long enough not to click


@dataclass(frozen=True)
class Recipe:
    """What an event is.

    Attributes:
        kind: its class, a name in `KINDS`.
        point: its place on the main axis of the class.
    """

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
    recipes = []
    for kind in kinds:
        first = rng.choice(cells) * _STEPS
        point = int(first + rng.integers(_STEPS))
        recipes.append(Recipe(str(kind), point))
    return recipes


def render(recipe: Recipe, rng: np.random.Generator, num_samples: int) -> np.ndarray:
    """One event, float64 (num_samples,) with faded ends; details beyond the recipe come from `rng`.

    The level is an RMS of 0.1, less where the peak would exceed 1 (ticks).
    """
    synthesise = KINDS[recipe.kind]
    wave = synthesise(rng, recipe.position, times(num_samples))
    fade_in = rise(np.arange(num_samples), _FADE_SAMPLES)
    fade_out = fade_in[::-1]
    wave = wave * fade_in * fade_out

    gain_to_level = 0.1 / rms(wave)
    gain_to_full_scale = 1.0 / np.max(np.abs(wave))
    return wave * min(gain_to_level, gain_to_full_scale)


def _cells(split: str) -> tuple[int, ...]:
    """The cells of the main axis that belong to a split."""
    if split == "dev":
        return _DEV_CELLS
    if split == "test":
        return _TEST_CELLS
    others = _DEV_CELLS + _TEST_CELLS
    return tuple(cell for cell in range(_CELLS) if cell not in others)
