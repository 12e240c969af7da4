"""Which of the sources of a window goes on with which of those before it.

Letters: N sources, C channels, S samples, X channels and samples, D values of a profile.
"""

from collections.abc import Callable

import numpy as np
import torch

from aio_toolkit.heads.permutation import best_order

# Below this share of the mean power of a window, nobody can be followed on an overlap.
QUIET = 0.01
# A source with a smaller share of the energy of its window tells nothing of how it sounds.
HEARD = 0.01


class Places:
    """Puts the sources of windows in the places that they had in the windows before.

    A model may name speakers in another order in every window. Where the overlap is not silent,
    they go where they go on best, by their products there; where it is, to the source that they
    sound like, by their profiles.

    >>> voices = np.random.default_rng(0).standard_normal((2, 1, 30))
    >>> places = Places(num_equals=2, profile=lambda wave_S: wave_S[:1])
    >>> first = places(voices[..., :20], None)
    >>> second = places(voices[::-1, :, 10:], before_NCS=voices[..., 10:20])
    >>> np.array_equal(second, voices[..., 10:])
    True
    """

    def __init__(self, num_equals: int, profile: Callable[[np.ndarray], np.ndarray]):
        """Begin a recording.

        Args:
            num_equals: how many sources, the first, may change places.
            profile: what a wave (S,) sounds like (D,).
        """
        self.num_equals = num_equals
        self.profile = profile
        # The last that was heard of each source.
        self._heard: dict[int, np.ndarray] = {}

    def __call__(self, window_NCS: np.ndarray, before_NCS: np.ndarray | None) -> np.ndarray:
        """The sources of a window in their places.

        Args:
            window_NCS: the next window.
            before_NCS: the last samples of the one before, which it begins with; None at first.
        """
        if self.num_equals < 2:
            return window_NCS
        if before_NCS is not None:
            window_NCS = self._in_places(window_NCS, before_NCS)
        wave_NS = window_NCS[: self.num_equals].mean(1)
        energy_N = np.square(wave_NS).sum(1)
        for place in np.flatnonzero(energy_N > HEARD * energy_N.sum()):
            self._heard[int(place)] = wave_NS[place]
        return window_NCS

    def _in_places(self, window_NCS: np.ndarray, before_NCS: np.ndarray) -> np.ndarray:
        equals_NCS = window_NCS[: self.num_equals]
        before_NX = before_NCS[: self.num_equals].reshape(self.num_equals, -1)
        after_NCS = equals_NCS[..., : before_NCS.shape[-1]]
        if np.square(before_NX).mean() > QUIET * np.square(equals_NCS).mean():
            # Row n: how well each source of the window goes on with source n.
            likeness_NN = before_NX @ after_NCS.reshape(self.num_equals, -1).T
        else:
            likeness_NN = self._likeness(equals_NCS.mean(1))
        (order_N,) = best_order(torch.from_numpy(-likeness_NN[None]))
        return np.concatenate([equals_NCS[order_N.numpy()], window_NCS[self.num_equals :]])

    def _likeness(self, wave_NS: np.ndarray) -> np.ndarray:
        """Row n: how much each source of a window sounds like source n did, by the cosine."""
        now = [_direction(self.profile(wave_S)) for wave_S in wave_NS]
        likeness_NN = np.zeros((self.num_equals, self.num_equals))
        for place, before_S in self._heard.items():
            before_D = _direction(self.profile(before_S))
            likeness_NN[place] = [before_D @ now_D for now_D in now]
        return likeness_NN


def _direction(profile_D: np.ndarray) -> np.ndarray:
    return profile_D / max(np.linalg.norm(profile_D), 1e-9)
