"""Sentences that tests of text metrics share."""

from collections.abc import Callable

import numpy as np
import pytest

WORDS = ["le", "la", "chat", "chien", "mange", "boit", "eau", "pain", "vite", "bien", "."]


def _spoilt(words: list[str], rng: np.random.Generator) -> list[str]:
    """The words without the first, or with it, and a third of them replaced."""
    kept = words[rng.integers(2) :]
    return [str(rng.choice(WORDS)) if rng.random() < 0.3 else word for word in kept]


@pytest.fixture
def make_sentences() -> Callable[[int], tuple[list[str], list[str]]]:
    """The function that makes some references, and hypotheses which are wrong here and there."""

    def make(n: int) -> tuple[list[str], list[str]]:
        rng = np.random.default_rng(0)
        references = [list(rng.choice(WORDS, rng.integers(3, 14))) for _ in range(n)]
        hypotheses = [_spoilt(words, rng) for words in references]
        return [" ".join(words) for words in references], [" ".join(h) for h in hypotheses]

    return make
