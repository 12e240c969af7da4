"""F1 over all tags of all utterances."""

from typing import override

import numpy as np

from aio_toolkit.scoring.metrics.base import Metric


class F1(Metric):
    """Twice the hits over tags given and tags true."""

    kinds = ("tags",)
    title = "F1"
    unit = "%"
    columns = ("hits", "given", "true")

    @override
    def sums(self, reference: list[str], answer: list[str]) -> np.ndarray:
        hits = len(set(reference) & set(answer))
        return np.array([hits, len(answer), len(reference)], dtype=np.float64)

    @override
    def value(self, sums_RK: np.ndarray) -> np.ndarray:
        return 200 * sums_RK[:, 0] / (sums_RK[:, 1] + sums_RK[:, 2])
