"""SI-SDR against the formula of the paper, written out slowly."""

import itertools

import numpy as np
import pytest

from aio_toolkit.data.audio import read_audio
from aio_toolkit.scoring.separation import (
    CEILING_DB,
    FLOOR_DB,
    assign,
    is_silent,
    pairwise_si_sdr,
    si_sdr_by_query,
)


def si_sdr_by_permutation(references: np.ndarray, estimates: np.ndarray) -> np.ndarray:
    """As the scorer does it: find the order, then score pair by pair."""
    return si_sdr_by_query(references, estimates[assign(references, estimates)])


def closed_form(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Le Roux et al. 2019, equation 3, term by term in extended precision."""
    s, e = reference.astype(np.longdouble), estimate.astype(np.longdouble)
    target = (np.sum(e * s) / np.sum(s * s)) * s
    return float(10 * np.log10(np.sum(target**2) / np.sum((target - e) ** 2)))


def _noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("snr_db", [-30, -5, 0, 12, 60, 90])
@pytest.mark.parametrize("offset", [0.0, 0.7])
def test_equals_the_closed_form(snr_db, offset):
    references, noise = _noise(2, 4000) + offset, _noise(3, 4000, seed=1)
    estimates = noise * 10 ** (-snr_db / 20) + references[[0, 1, 0]] * [[1.0], [-0.3], [5.0]]
    expected = [[closed_form(r, e) for e in estimates] for r in references]
    np.testing.assert_allclose(
        pairwise_si_sdr(references, estimates), np.clip(expected, FLOOR_DB, CEILING_DB), atol=1e-4
    )


def test_float32_waves_are_scored_in_float64():
    reference = _noise(4000).astype(np.float32)
    estimate = (reference + 1e-4 * _noise(4000, seed=1)).astype(np.float32)
    expected = closed_form(reference, estimate)
    assert expected > 75
    assert pairwise_si_sdr(reference[None], estimate[None])[0, 0] == pytest.approx(
        expected, abs=1e-4
    )


def test_scale_does_not_matter():
    reference, estimate = _noise(1, 500), _noise(1, 500) + _noise(1, 500, seed=1)
    scores = [pairwise_si_sdr(reference, gain * estimate)[0, 0] for gain in (1e-3, 1.0, -40.0)]
    assert scores == pytest.approx([scores[0]] * 3)


def test_a_perfect_estimate_scores_the_ceiling():
    reference = _noise(2, 500)
    assert si_sdr_by_query(reference, 0.5 * reference) == pytest.approx([CEILING_DB] * 2, abs=1e-5)


def test_a_silent_estimate_scores_the_floor():
    assert si_sdr_by_query(_noise(1, 500), np.zeros((1, 500))).tolist() == [FLOOR_DB]


def test_an_orthogonal_estimate_scores_the_floor():
    reference = np.array([[1.0, 0.0] * 50])
    assert si_sdr_by_query(reference, np.array([[0.0, 1.0] * 50])).tolist() == [FLOOR_DB]


def test_a_silent_reference_has_no_score():
    reference = _noise(2, 500)
    reference[1] = 2.0**-17
    scores = si_sdr_by_query(reference, reference)
    assert scores[0] == pytest.approx(CEILING_DB, abs=1e-5) and np.isnan(scores[1])
    assert np.isnan(si_sdr_by_permutation(np.zeros((2, 500)), reference)).all()


def test_one_step_of_16_bits_is_where_silence_ends():
    assert is_silent(np.full(9, 0.9 * 2.0**-15)) and not is_silent(np.full(9, 1.1 * 2.0**-15))


@pytest.mark.parametrize("num_estimates", [3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_the_assignment_is_the_best_of_all(num_estimates, seed):
    references = _noise(3, 300, seed=seed)
    estimates = _noise(num_estimates, 3, seed=seed + 9) @ references + _noise(
        num_estimates, 300, seed=seed + 99
    )
    best = max(
        (
            [closed_form(r, estimates[j]) for r, j in zip(references, order, strict=True)]
            for order in itertools.permutations(range(num_estimates), 3)
        ),
        key=sum,
    )
    np.testing.assert_allclose(si_sdr_by_permutation(references, estimates), best, atol=1e-6)


def test_two_references_take_the_two_best_of_three_estimates():
    references = _noise(2, 500)
    estimates = np.stack([references[1], _noise(500, seed=5), references[0]]) + 0.01 * _noise(
        3, 500, seed=6
    )
    assert (si_sdr_by_permutation(references, estimates) > 35).all()


def test_a_silent_reference_takes_no_estimate_away():
    references = np.stack([np.zeros(500), _noise(500)])
    estimates = np.stack([_noise(500), _noise(500, seed=5)])
    scores = si_sdr_by_permutation(references, estimates)
    assert np.isnan(scores[0]) and scores[1] == pytest.approx(CEILING_DB, abs=1e-5)


def test_a_silent_reference_gets_the_estimate_that_is_left():
    """Other metrics than SI-SDR may score it."""
    references = np.stack([np.zeros(500), _noise(500), np.zeros(500)])
    estimates = np.stack(
        [_noise(500, seed=5), _noise(500), _noise(500, seed=6), _noise(500, seed=7)]
    )
    assert assign(references, estimates).tolist() == [0, 1, 2]


def test_if_all_references_are_silent_estimates_stay_in_their_order():
    assert assign(np.zeros((2, 500)), _noise(3, 500)).tolist() == [0, 1]


def test_fewer_estimates_than_references_is_a_bug():
    with pytest.raises(ValueError, match="1 estimates cannot serve 2 references"):
        si_sdr_by_permutation(_noise(2, 50), _noise(1, 50))


@pytest.mark.parametrize("item", range(6))
def test_published_mossformer2_estimates_score_as_published_systems_do(realdata, item):
    names = ("source1", "source2", "source1hat", "source2hat", "mix")
    waves = [
        read_audio(str(realdata / f"libri2mix_8k/item{item}_{name}.flac"), 8000) for name in names
    ]
    size = min(map(len, waves))
    references, estimates, mix = np.split(np.stack([wave[:size] for wave in waves]), [2, 4])
    scores = si_sdr_by_permutation(references, estimates)
    straight = [closed_form(r, e) for r, e in zip(references, estimates, strict=True)]
    crossed = [closed_form(r, e) for r, e in zip(references, estimates[::-1], strict=True)]
    np.testing.assert_allclose(scores, max(straight, crossed, key=sum), atol=1e-4)
    # MossFormer2 reports 21.7 dB of improvement on the whole Libri2Mix test set.
    improvement = (scores - si_sdr_by_query(references, np.repeat(mix, 2, axis=0))).mean()
    assert 12 < improvement < 35
