"""Estimates and their mixture brought together: what comes out sums to the mixture.

Letters: N sources, S samples, F frequencies of the STFT in G bands of K, T frames.
"""

import torch
import torch.nn.functional as F

# Frequencies that share a source's gain and error.
BAND = 4
# Multiplicative updates of the errors: more of them fit the mixture better and the sources no better.
UPDATES = 3
# Magnitude, as a share of the mixture's mean, that every source has everywhere: bins that nobody claims (digital
# silence) are shared evenly, which keeps the sum.
FLOOR = 1e-4


def ratio_mask(mixture_S: torch.Tensor, source_NS: torch.Tensor, window: int = 512, power: float = 2.0) -> torch.Tensor:
    """The mixture's STFT under the masks m_n = |S_n|^p / sum_k |S_k|^p of the sources, (N, S) waves.

    Of true sources these are the ideal ratio masks: what a mask with the mixture's phase can reach.
    """
    strength_NFT = _stft(source_NS, window).abs() ** power
    total_FT = strength_NFT.sum(0)
    # Where nobody claims a bin (digital silence) it is shared evenly, which keeps the sum.
    tiny = torch.finfo(total_FT.dtype).tiny
    mask_NFT = torch.where(total_FT > tiny, strength_NFT / total_FT.clamp_min(tiny), 1.0 / len(source_NS))
    return _istft(mask_NFT * _stft(mixture_S, window), window, mixture_S.shape[-1])


def wiener(
    mixture_S: torch.Tensor, estimate_NS: torch.Tensor, window: int = 512, power: float = 2.0, detail: float = 0.0
) -> torch.Tensor:
    """Sources (N, S) as the mixture bears out their estimates; they sum to the mixture.

    In each band, source n is taken for b_n S_n plus an error of level a_n V_n, where V_n is the estimate's own level,
    averaged over neighbouring bins. Gains b_n are the mixture's least-squares fit times `detail`; errors a_n are such
    that sum_n a_n V_n has the level of the remainder R = X - sum_n b_n S_n (Itakura-Saito divergence). The output is
    the source expected given the mixture under this local Gaussian model (Liutkus & Badeau 2015),

        b_n S_n + a_n V_n / (sum_k a_k V_k) R.

    At `detail` 0 that is a mask with the mixture's phase; at 1 estimates whose phase fits the mixture's keep it, and
    the masks share out what they leave (weighted mixture consistency, Wisdom et al. 2019).

    Args:
        mixture_S: mixture.
        estimate_NS: estimates at the mixture's scale. A lone one is weighed against what it leaves of the mixture.
        window: STFT window in samples; the hop is a quarter of it.
        power: exponent p of the levels; 2 is the Wiener filter, smaller values share doubtful bins more evenly.
        detail: how much of the estimates' own phase is kept; the better the estimates, the more pays.
    """
    if len(estimate_NS) == 1:
        with_rest_NS = torch.cat([estimate_NS, mixture_S - estimate_NS])
        return wiener(mixture_S, with_rest_NS, window, power, detail)[:1]
    mixture_FT, estimate_NFT = _stft(mixture_S, window), _stft(estimate_NS, window)
    own_NFT = torch.zeros_like(estimate_NFT)
    if detail:
        own_NFT = detail * _gains(mixture_FT, estimate_NFT) * estimate_NFT
    rest_FT = mixture_FT - own_NFT.sum(0)
    floor = (FLOOR * mixture_FT.abs().mean()) ** power + 1e-9  # the latter where all is silent
    error_NFT = _errors(rest_FT.abs() ** power + floor, _levels(estimate_NFT, power) + floor)
    return _istft(own_NFT + error_NFT / error_NFT.sum(0) * rest_FT, window, mixture_S.shape[-1])


def _gains(mixture_FT: torch.Tensor, estimate_NFT: torch.Tensor) -> torch.Tensor:
    """Gains (N, F, 1) in [0, 1], constant in a band, with which the estimates explain the mixture best."""
    gram_NNG = _sum_bands(torch.einsum("nft,mft->nmf", estimate_NFT, estimate_NFT.conj()).real)
    cross_NG = _sum_bands(torch.einsum("nft,ft->nf", estimate_NFT, mixture_FT.conj()).real)
    # Keeps silent estimates, and such as are alike, from gains without bounds.
    ridge_G = 1e-3 * gram_NNG.diagonal().mean(1) + torch.finfo(cross_NG.dtype).tiny
    ridge_NNG = torch.eye(len(estimate_NFT), device=ridge_G.device, dtype=ridge_G.dtype)[..., None] * ridge_G
    gain_GN = torch.linalg.solve((gram_NNG + ridge_NNG).permute(2, 0, 1), cross_NG.T)
    return _spread_bands(gain_GN.T.clamp(0, 1), mixture_FT.shape[0])


def _levels(estimate_NFT: torch.Tensor, power: float) -> torch.Tensor:
    """Mean power of a bin and its eight neighbours as a level, (N, F, T)."""
    power_NFT = F.avg_pool2d(estimate_NFT.abs().square()[:, None], 3, 1, 1, count_include_pad=False)[:, 0]
    return power_NFT ** (power / 2)


def _errors(rest_FT: torch.Tensor, level_NFT: torch.Tensor) -> torch.Tensor:
    """Each source's level times a factor that is constant in a band, (N, F, T), fitted in sum to the remainder's level.

    Multiplicative updates that never increase the Itakura-Saito divergence (Fevotte & Idier 2011).
    """
    error_NFT = level_NFT
    for _ in range(UPDATES):
        total_FT = error_NFT.sum(0)
        wanted_NG = _sum_bands((level_NFT * rest_FT / total_FT.square()).sum(-1))
        present_NG = _sum_bands((level_NFT / total_FT).sum(-1))
        error_NFT = error_NFT * _spread_bands((wanted_NG / present_NG).sqrt(), len(rest_FT))
    return error_NFT


def _sum_bands(x_XF: torch.Tensor) -> torch.Tensor:
    """Sums (..., G) over the frequencies of each band; the last band may hold fewer."""
    return F.pad(x_XF, (0, -x_XF.shape[-1] % BAND)).unflatten(-1, (-1, BAND)).sum(-1)


def _spread_bands(x_NG: torch.Tensor, num_frequencies: int) -> torch.Tensor:
    """The band's value at each of its frequencies, (N, F, 1)."""
    return x_NG.repeat_interleave(BAND, dim=1)[:, :num_frequencies, None]


def _stft(wave: torch.Tensor, window: int) -> torch.Tensor:
    # Zero padding at the edges, not reflection, which needs at least half a window of signal.
    shape = torch.hann_window(window, device=wave.device, dtype=wave.dtype)
    return torch.stft(wave, window, window // 4, window=shape, pad_mode="constant", return_complex=True)


def _istft(spectrum: torch.Tensor, window: int, length: int) -> torch.Tensor:
    shape = torch.hann_window(window, device=spectrum.device, dtype=spectrum.real.dtype)
    return torch.istft(spectrum, window, window // 4, window=shape, length=length)
