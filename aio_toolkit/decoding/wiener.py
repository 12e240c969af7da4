"""Mixture-consistent masking: the estimates say how much of each time-frequency bin is whose."""

import torch


def wiener(
    mixture_S: torch.Tensor, estimate_NS: torch.Tensor, window: int = 512, power: float = 2.0, detail: float = 0.0
) -> torch.Tensor:
    """Mask the mixture's STFT by the estimates' magnitudes (generalised Wiener filter, Liutkus & Badeau 2015).

    The mask of source n is m_n = |S_n|^p / sum_k |S_k|^p. A lone estimate has no rival to be weighed against: what it
    does not explain of the mixture counts as one, so its mask is |S|^p / max(|S|^p, |X|^p).

    A mask keeps the mixture's phase, which is wrong where sources overlap. With detail d the estimates' own phase has a
    say: m_n X + d (S_n - m_n sum_k S_k). What is added is zero in sum, and at d = 1 the output is the estimate with the
    mixture's remainder shared by the masks (weighted mixture consistency, Wisdom et al. 2019).

    Args:
        mixture_S: mixture of S samples.
        estimate_NS: N estimates, at the mixture's scale.
        window: STFT window in samples; the hop is a quarter of it.
        power: exponent p; 2 is the Wiener filter, smaller values share doubtful bins more evenly.
        detail: d; the better the estimates, the more pays.

    Returns:
        (N, S) waves; for N > 1 they sum to the mixture.
    """
    mixture_FT = _stft(mixture_S, window)
    estimate_NFT = _stft(estimate_NS, window)
    strength_NFT = estimate_NFT.abs() ** power
    if len(estimate_NS) > 1:
        total_FT = strength_NFT.sum(0)
    else:
        total_FT = torch.maximum(strength_NFT[0], mixture_FT.abs() ** power)
    # Where nobody claims a bin (digital silence) it is shared evenly, which keeps the sum.
    tiny = torch.finfo(total_FT.dtype).tiny
    mask_NFT = torch.where(total_FT > tiny, strength_NFT / total_FT.clamp_min(tiny), 1.0 / len(estimate_NS))
    output_NFT = mask_NFT * mixture_FT
    if detail:
        output_NFT = output_NFT + detail * (estimate_NFT - mask_NFT * estimate_NFT.sum(0))
    return _istft(output_NFT, window, mixture_S.shape[-1])


def _stft(wave: torch.Tensor, window: int) -> torch.Tensor:
    # Zero padding at the edges, not reflection, which needs at least half a window of signal.
    shape = torch.hann_window(window, device=wave.device, dtype=wave.dtype)
    return torch.stft(wave, window, window // 4, window=shape, pad_mode="constant", return_complex=True)


def _istft(spectrum: torch.Tensor, window: int, length: int) -> torch.Tensor:
    shape = torch.hann_window(window, device=spectrum.device, dtype=spectrum.real.dtype)
    return torch.istft(spectrum, window, window // 4, window=shape, length=length)
