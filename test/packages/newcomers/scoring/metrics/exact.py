"""The share of sentences without any error."""

from typing import override

import numpy as np

from aio_toolkit.scoring.metrics.base import Metric


class Exact(Metric):
    """Sentences that are the reference, in per cent."""

    kinds = ("text",)
    title = "exact"
    unit = "%"
    columns = ("hits", "sentences")

    @override
    def sums(self, reference: str, answer: str) -> np.ndarray:
        return np.array([reference == answer, 1], dtype=np.float64)

    @override
    def value(self, sums_RK: np.ndarray) -> np.ndarray:
        return 100 * sums_RK[:, 0] / sums_RK[:, 1]
