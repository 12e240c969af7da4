"""SI-SDR as a metric; its conventions are those of `scoring.separation`."""

from typing import override

import numpy as np

from aio_toolkit.scoring.intervals import ratio
from aio_toolkit.scoring.metrics.base import Metric
from aio_toolkit.scoring.separation import CEILING_DB, FLOOR_DB, si_sdr_by_query


class SiSdr(Metric):
    """Scale-invariant signal-to-distortion ratio (Le Roux et al. 2019), mean over utterances.

    >>> from aio_toolkit.tasks import Task
    >>> si_sdr = SiSdr(Task("enh", "", "audio", ("speech",), ("si_sdr",)))
    >>> si_sdr.sums(np.array([1.0, 0.0]), np.array([2.0, 1.0])).round(3)
    array([6.021, 1.   ])
    """

    kinds = ("audio",)
    title = "SI-SDR"
    unit = "dB"
    columns = ("si_sdr",)
    digits = 3
    unscorable = "silent or short"
    conventions = {"floor_db": FLOOR_DB, "ceiling_db": CEILING_DB}

    @override
    def sums(self, reference: np.ndarray, answer: np.ndarray) -> np.ndarray:
        """The ratio in dB, and one to count it; NaN where the reference is silent."""
        (score,) = si_sdr_by_query(reference[None], answer[None])
        if np.isnan(score):
            # The one too, or the utterance would count.
            return np.full(2, np.nan)
        return np.array([score, 1.0])

    @override
    def value(self, sums_RK: np.ndarray) -> np.ndarray:
        """Mean over the utterances."""
        return ratio(sums_RK)
