"""SI-SDR of separated and enhanced audio, in float64, with every special case decided.

Conventions:
- The definition is that of Le Roux et al. 2019 ("SDR, half-baked or well done?"). The mean is not removed.
- A reference below `SILENCE_RMS` is silent. SI-SDR does not exist for it: its score is NaN, which stays out
  of all means and is counted.
- Scores are limited to [`FLOOR_DB`, `CEILING_DB`], so that one perfect or one failed estimate cannot rule a
  mean. A silent estimate of a reference that is not silent scores `FLOOR_DB`.

Letters: N references, M estimates, S samples.
"""

import numpy as np

# One step of 16-bit audio, -90 dBFS.
SILENCE_RMS = 2.0**-15
CEILING_DB = 100.0
# About what white noise scores that knows nothing of the reference (10 log10 1/S; 6 s at 16 kHz).
FLOOR_DB = -50.0


def is_silent(wave_S: np.ndarray) -> bool:
    """Whether a reference is too quiet to be one."""
    return bool(np.sqrt(np.mean(np.square(wave_S, dtype=np.float64))) < SILENCE_RMS)


def pairwise_si_sdr(references_NS: np.ndarray, estimates_MS: np.ndarray) -> np.ndarray:
    """SI-SDR in dB of every estimate against every reference.

    Args:
        references_NS: (N, S), none of them silent.
        estimates_MS: (M, S).

    Returns:
        (N, M) float64 within [`FLOOR_DB`, `CEILING_DB`].
    """
    from fast_bss_eval.numpy import pairwise_si_sdr_loss

    # The library works with the cosine of the angle: in float32 that is wrong above 60 dB.
    references_NS = np.asarray(references_NS, dtype=np.float64)
    estimates_MS = np.asarray(estimates_MS, dtype=np.float64)
    loss_NM = pairwise_si_sdr_loss(estimates_MS, references_NS, clamp_db=CEILING_DB)
    return np.maximum(-loss_NM, FLOOR_DB)


def si_sdr_by_query(references_NS: np.ndarray, estimates_NS: np.ndarray) -> np.ndarray:
    """SI-SDR (N,) of each estimate against the reference of the same place; NaN where that is silent."""
    scores_N = np.full(len(references_NS), np.nan)
    for i, (reference_S, estimate_S) in enumerate(zip(references_NS, estimates_NS, strict=True)):
        if not is_silent(reference_S):
            scores_N[i] = pairwise_si_sdr(reference_S[None], estimate_S[None])[0, 0]
    return scores_N


def si_sdr_by_permutation(references_NS: np.ndarray, estimates_MS: np.ndarray) -> np.ndarray:
    """SI-SDR (N,) under the assignment of estimates to references with the greatest sum.

    Every reference gets an estimate of its own, so M >= N; surplus estimates are not scored. Silent
    references take no part and score NaN.
    """
    from scipy.optimize import linear_sum_assignment

    if len(estimates_MS) < len(references_NS):
        raise ValueError(f"{len(estimates_MS)} estimates cannot serve {len(references_NS)} references")
    scores_N = np.full(len(references_NS), np.nan)
    active = [i for i, reference_S in enumerate(references_NS) if not is_silent(reference_S)]
    if active:
        si_sdr_NM = pairwise_si_sdr(references_NS[active], estimates_MS)
        rows, columns = linear_sum_assignment(si_sdr_NM, maximize=True)
        scores_N[np.asarray(active)[rows]] = si_sdr_NM[rows, columns]
    return scores_N
