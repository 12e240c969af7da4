"""Estimates and their mixture brought together: what comes out sums to the mixture.

The Wiener filter works in bands of the STFT. There, source n is taken for b_n S_n plus an error of
level a_n V_n, where S_n is its estimate and V_n the estimate's level, averaged over neighbouring
bins. Gains b_n are the mixture's least-squares fit times `detail`; errors a_n are such that
sum_n a_n V_n has the level of the remainder R = X - sum_n b_n S_n (Itakura-Saito divergence). The
output is the source expected given the mixture X under this local Gaussian model (Liutkus & Badeau
2015),

    b_n S_n + a_n V_n / (sum_k a_k V_k) R.

At `detail` 0 that is a mask with the mixture's phase; at 1 estimates whose phase fits the mixture's
keep it, and the masks share out what they leave (weighted mixture consistency, Wisdom et al. 2019).

Letters: N sources, S samples, F frequencies of the STFT in G bands, T frames.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from aio_toolkit.ranges import bounded

# Frequencies that share a source's gain and error.
BAND = 4
# Multiplicative updates of the errors: more of them fit the mixture better and the sources no
# better.
UPDATES = 3
# Magnitude, as a share of the mixture's mean, that every source has everywhere: bins that nobody
# claims (digital silence) are shared evenly, which keeps the sum.
FLOOR = 1e-4


class WienerFilter:
    """The filters of this module, with their options.

    >>> wave_NS = torch.randn(2, 4000, generator=torch.Generator().manual_seed(0))
    >>> mixture_S = wave_NS.sum(0)
    >>> filtered_NS = WienerFilter(WienerFilter.Config())(mixture_S, wave_NS)
    >>> torch.allclose(filtered_NS.sum(0), mixture_S, atol=1e-4)
    True
    """

    @dataclass
    class Config:
        """Options of the filters.

        Attributes:
            window: STFT window in samples; the hop is a quarter of it.
            power: exponent of the levels; 2 is the Wiener filter, smaller values share doubtful
                bins more evenly.
            detail: how much of the estimates' own phase is kept, 0 to 1; better estimates want
                more.
        """

        window: int = bounded(512, least=4)
        power: float = bounded(2.0, above=0)
        detail: float = bounded(0.0, least=0, most=1)

    def __init__(self, config: Config):
        self.config = config

    def __call__(self, mixture_S: torch.Tensor, estimate_NS: torch.Tensor) -> torch.Tensor:
        """The mixture, filtered with the estimates: sources (N, S)."""
        options = self.config
        return wiener(
            mixture_S,
            estimate_NS,
            options.window,
            options.power,
            options.detail,
        )


def filter_bank(mixture_S: torch.Tensor, gain_NF: torch.Tensor, window: int) -> torch.Tensor:
    """The mixture (S,) under gains (N, F) that do not change in time: waves (N, S).

    >>> tone_S = torch.sin(torch.arange(4000) / 8)
    >>> torch.allclose(filter_bank(tone_S, torch.ones(1, 257), 512)[0], tone_S, atol=1e-4)
    True
    """
    mixture_FT = _stft(mixture_S, window)
    return _istft(gain_NF[..., None] * mixture_FT, window, mixture_S.shape[-1])


def wiener(
    mixture_S: torch.Tensor,
    estimate_NS: torch.Tensor,
    window: int = 512,
    power: float = 2.0,
    detail: float = 0.0,
) -> torch.Tensor:
    """Wiener-filter the mixture with the estimates.

    The model is that of the module's head.

    Args:
        mixture_S: the mixture.
        estimate_NS: estimates at the mixture's scale. A lone one is weighed against what it leaves
            of the mixture.
        window: STFT window in samples; the hop is a quarter of it.
        power: exponent p of the levels; 2 is the Wiener filter, smaller values share doubtful bins
            more evenly.
        detail: how much of the estimates' own phase is kept; better estimates want a larger value.

    Returns:
        Waves (N, S); those of several sources sum to the mixture.

    >>> tone_S = torch.sin(torch.arange(4000) / 8)
    >>> filtered_NS = wiener(tone_S, torch.stack([tone_S, torch.zeros(4000)]))
    >>> torch.allclose(filtered_NS[0], tone_S, atol=1e-3)
    True
    """
    if len(estimate_NS) == 1:
        rest_NS = mixture_S - estimate_NS
        both_NS = torch.cat([estimate_NS, rest_NS])
        filtered_NS = wiener(mixture_S, both_NS, window, power, detail)
        return filtered_NS[:1]

    mixture_FT = _stft(mixture_S, window)
    estimate_NFT = _stft(estimate_NS, window)
    own_NFT = torch.zeros_like(estimate_NFT)
    if detail:
        gain_NF1 = _gains(mixture_FT, estimate_NFT)
        own_NFT = detail * gain_NF1 * estimate_NFT
    rest_FT = mixture_FT - own_NFT.sum(0)

    floor = _floor(mixture_FT, power)
    rest_level_FT = rest_FT.abs() ** power + floor
    level_NFT = _levels(estimate_NFT, power) + floor
    error_NFT = _errors(rest_level_FT, level_NFT)
    mask_NFT = error_NFT / error_NFT.sum(0)
    output_NFT = own_NFT + mask_NFT * rest_FT
    return _istft(output_NFT, window, mixture_S.shape[-1])


def _floor(mixture_FT: torch.Tensor, power: float) -> torch.Tensor:
    """The level that every source has everywhere."""
    mean = mixture_FT.abs().mean()
    # The constant is for mixtures that are silent all along.
    return (FLOOR * mean) ** power + 1e-9


def _gains(mixture_FT: torch.Tensor, estimate_NFT: torch.Tensor) -> torch.Tensor:
    """Gains (N, F, 1) in [0, 1], equal in a band, by which estimates explain the mixture best."""
    gram_NNF = torch.einsum("nft,mft->nmf", estimate_NFT, estimate_NFT.conj())
    cross_NF = torch.einsum("nft,ft->nf", estimate_NFT, mixture_FT.conj())
    gram_NNG = _sum_bands(gram_NNF.real)
    cross_NG = _sum_bands(cross_NF.real)

    # Keeps silent estimates, and such as are alike, from gains without bounds.
    tiny = torch.finfo(cross_NG.dtype).tiny
    mean_G = gram_NNG.diagonal().mean(1)
    ridge_G = 1e-3 * mean_G + tiny
    eye_NN = torch.eye(len(gram_NNG), device=ridge_G.device, dtype=ridge_G.dtype)
    ridged_NNG = gram_NNG + eye_NN[..., None] * ridge_G

    ridged_GNN = ridged_NNG.permute(2, 0, 1)
    gain_GN = torch.linalg.solve(ridged_GNN, cross_NG.T)
    gain_NG = gain_GN.T.clamp(0, 1)
    return _spread_bands(gain_NG, len(mixture_FT))


def _levels(estimate_NFT: torch.Tensor, power: float) -> torch.Tensor:
    """Mean power of a bin and its eight neighbours as a level, (N, F, T)."""
    power_NFT = estimate_NFT.abs().square()
    mean_N1FT = F.avg_pool2d(
        power_NFT[:, None],
        kernel_size=3,
        stride=1,
        padding=1,
        # Bins at the edges have fewer neighbours.
        count_include_pad=False,
    )
    return mean_N1FT[:, 0] ** (power / 2)


def _errors(rest_FT: torch.Tensor, level_NFT: torch.Tensor) -> torch.Tensor:
    """Levels (N, F, T) times factors, constant in a band, that fit their sum to the remainder's.

    Multiplicative updates that never increase the Itakura-Saito divergence (Fevotte & Idier 2011).
    """
    error_NFT = level_NFT
    for _ in range(UPDATES):
        total_FT = error_NFT.sum(0)
        wanted_NFT = level_NFT * rest_FT / total_FT.square()
        present_NFT = level_NFT / total_FT
        wanted_NG = _sum_bands(wanted_NFT.sum(-1))
        present_NG = _sum_bands(present_NFT.sum(-1))
        factor_NG = (wanted_NG / present_NG).sqrt()
        error_NFT = error_NFT * _spread_bands(factor_NG, len(rest_FT))
    return error_NFT


def _sum_bands(x_XF: torch.Tensor) -> torch.Tensor:
    """Sums (..., G) over the frequencies of each band; the last band may hold fewer."""
    missing = -x_XF.shape[-1] % BAND
    padded_XF = F.pad(x_XF, (0, missing))
    bands_XGK = padded_XF.unflatten(-1, (-1, BAND))
    return bands_XGK.sum(-1)


def _spread_bands(x_NG: torch.Tensor, num_frequencies: int) -> torch.Tensor:
    """The band's value at each of its frequencies, (N, F, 1)."""
    repeated_NF = x_NG.repeat_interleave(BAND, dim=1)
    return repeated_NF[:, :num_frequencies, None]


def _stft(wave: torch.Tensor, window: int) -> torch.Tensor:
    shape = torch.hann_window(window, device=wave.device, dtype=wave.dtype)
    hop = window // 4
    return torch.stft(
        wave,
        window,
        hop,
        window=shape,
        # Zeros at the edges, not a reflection, which needs at least half a window of signal.
        pad_mode="constant",
        return_complex=True,
    )


def _istft(spectrum: torch.Tensor, window: int, length: int) -> torch.Tensor:
    dtype = spectrum.real.dtype
    shape = torch.hann_window(window, device=spectrum.device, dtype=dtype)
    hop = window // 4
    return torch.istft(spectrum, window, hop, window=shape, length=length)
