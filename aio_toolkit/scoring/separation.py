"""SI-SDR of separated and enhanced audio, in float64, with every special case decided.

Conventions:
- The definition is that of Le Roux et al. 2019 ("SDR, half-baked or well done?"). The mean is not
  removed.
- A reference below `SILENCE_RMS` is silent. SI-SDR does not exist for it: its score is NaN, which
  stays out of all means and is counted.
- Scores are limited to [`FLOOR_DB`, `CEILING_DB`], so that one perfect or one failed estimate
  cannot rule a mean. A silent estimate of a reference that is not silent scores `FLOOR_DB`.

Letters: N references, M estimates, S samples.
"""

import numpy as np

# One step of 16-bit audio, -90 dBFS.
SILENCE_RMS = 2.0**-15
CEILING_DB = 100.0
# About what white noise scores that knows nothing of the reference (10 log10 1/S; 6 s at 16 kHz).
FLOOR_DB = -50.0


def is_silent(wave_S: np.ndarray) -> bool:
    """Whether a reference is too quiet to be one.

    >>> is_silent(np.zeros(9)), is_silent(np.full(9, 0.01))
    (True, False)
    """
    square_S = np.square(wave_S, dtype=np.float64)
    rms = np.sqrt(np.mean(square_S))
    return bool(rms < SILENCE_RMS)


def pairwise_si_sdr(references_NS: np.ndarray, estimates_MS: np.ndarray) -> np.ndarray:
    """SI-SDR in dB of every estimate against every reference.

    Args:
        references_NS: references, none of them silent.
        estimates_MS: estimates.

    Returns:
        (N, M) float64 within [`FLOOR_DB`, `CEILING_DB`].

    >>> pairwise_si_sdr(np.array([[1.0, 0.0]]), np.array([[2.0, 1.0], [0.0, 0.0]])).round(3)
    array([[  6.021, -50.   ]])
    """
    # Slow to import.
    from fast_bss_eval.numpy import pairwise_si_sdr_loss

    # The library works with the cosine of the angle: in float32 that is wrong above 60 dB.
    references_NS = np.asarray(references_NS, dtype=np.float64)
    estimates_MS = np.asarray(estimates_MS, dtype=np.float64)
    loss_NM = pairwise_si_sdr_loss(estimates_MS, references_NS, clamp_db=CEILING_DB)
    return np.maximum(-loss_NM, FLOOR_DB)


def si_sdr_by_query(references_NS: np.ndarray, estimates_NS: np.ndarray) -> np.ndarray:
    """SI-SDR (N,) of each estimate against the reference of the same place.

    It is NaN where the reference is silent.

    >>> references_NS = np.array([[1.0, 2.0], [0.0, 0.0]])
    >>> si_sdr_by_query(references_NS, np.ones((2, 2))).round(3)
    array([9.542,   nan])
    """
    scores_N = np.full(len(references_NS), np.nan)
    pairs = zip(references_NS, estimates_NS, strict=True)
    for i, (reference_S, estimate_S) in enumerate(pairs):
        if not is_silent(reference_S):
            # Alone, as the other pairs of a matrix would be computed in vain.
            score_11 = pairwise_si_sdr(reference_S[None], estimate_S[None])
            scores_N[i] = score_11.item()
    return scores_N


def assign(references_NS: np.ndarray, estimates_MS: np.ndarray) -> np.ndarray:
    """For each reference the index (N,) of its estimate, by the greatest sum of SI-SDR.

    Every reference gets an estimate of its own, so M >= N; surplus estimates are left over. Silent
    references take no part and get what remains.

    Raises:
        ValueError: there are fewer estimates than references.

    >>> references_NS = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> assign(references_NS, references_NS[::-1])
    array([1, 0])
    """
    # Slow to import.
    from scipy.optimize import linear_sum_assignment

    N, M = len(references_NS), len(estimates_MS)
    if M < N:
        raise ValueError(f"{M} estimates cannot serve {N} references")

    silent = [is_silent(reference_S) for reference_S in references_NS]
    silent_N = np.array(silent)
    estimate_N = np.full(N, -1)
    if not silent_N.all():
        active_NS = references_NS[~silent_N]
        si_sdr_NM = pairwise_si_sdr(active_NS, estimates_MS)
        # Rows come back in their order, as there is an estimate for each.
        _, chosen_N = linear_sum_assignment(si_sdr_NM, maximize=True)
        estimate_N[~silent_N] = chosen_N

    # A silent reference must have one as well: not every metric leaves it out.
    unused = np.setdiff1d(np.arange(M), estimate_N)
    estimate_N[silent_N] = unused[: silent_N.sum()]
    return estimate_N
