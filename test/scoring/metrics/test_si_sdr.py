"""SI-SDR as numbers that are summed; the ratio itself is tested with `scoring.separation`."""

import numpy as np
import pytest
from tiny import ALL

from aio_toolkit.scoring.metrics.si_sdr import SiSdr

METRIC = SiSdr(ALL["enh"])


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(500)


def test_the_score_is_the_mean_of_the_ratios_of_the_utterances():
    pairs = [(noise(i), noise(i) + 0.3 * i * noise(9)) for i in (1, 2, 3)]
    sums_nK = np.stack([METRIC.sums(*pair) for pair in pairs])
    ratios = []
    for reference_S, estimate_S in pairs:
        scale = estimate_S @ reference_S / (reference_S @ reference_S)
        error_S = estimate_S - scale * reference_S
        power = scale**2 * (reference_S @ reference_S)
        ratios.append(10 * np.log10(power / (error_S @ error_S)))
    np.testing.assert_allclose(sums_nK[:, 0], ratios, atol=1e-6)
    assert METRIC.value(sums_nK.sum(0)[None]).tolist() == [pytest.approx(np.mean(ratios))]


def test_a_silent_reference_has_no_numbers():
    assert np.isnan(METRIC.sums(np.zeros(500), noise(1))).all()


def test_a_silent_estimate_has_the_lowest_number():
    assert METRIC.sums(noise(1), np.zeros(500)).tolist() == [-50.0, 1.0]


def test_the_limits_are_noted():
    assert METRIC.conventions == {"floor_db": -50.0, "ceiling_db": 100.0}
