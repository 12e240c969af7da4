"""Reconstruction losses of codec training. Letters: B batch, S samples."""

import math
from dataclasses import dataclass
from typing import override

import torch
from torch import nn


@dataclass(frozen=True)
class MelScale:
    """One resolution of the mel loss.

    Attributes:
        seconds: about how long a window is.
        num_mels: number of bands.

    >>> scale = MelScale(0.032, num_mels=64)
    >>> scale.window(16000), scale.window(8000), scale.window(44100)
    (512, 256, 1024)
    """

    seconds: float
    num_mels: int

    def window(self, sample_rate: int) -> int:
        """Samples of a window: the nearest power of two, for which the transform is fastest."""
        return 2 ** round(math.log2(self.seconds * sample_rate))


# Added to energies, so that silence has a finite ratio.
SMALL = 1e-6
# Few scales with few bands: on a CPU the full set of the original paper costs as much as the codec.
MEL_SCALES = (MelScale(0.128, 128), MelScale(0.032, 64), MelScale(0.008, 16))


class MultiScaleMelLoss(nn.Module):
    """L1 distance of log10 mel magnitudes, averaged over resolutions.

    Kumar et al. 2023, section 3.4.

    >>> loss = MultiScaleMelLoss(16000)
    >>> wave_BS = torch.sin(0.1 * torch.arange(4000.0))[None]
    >>> loss(wave_BS, wave_BS)
    tensor(0.)
    """

    def __init__(
        self,
        sample_rate: int,
        scales: tuple[MelScale, ...] = MEL_SCALES,
        floor: float = 1e-3,
    ) -> None:
        """Make the filters.

        Args:
            sample_rate: Hz.
            scales: the resolutions.
            floor: magnitude below which bands are alike.
        """
        super().__init__()
        from torchaudio.transforms import MelSpectrogram

        self.floor = floor
        self.mels = nn.ModuleList(
            MelSpectrogram(
                sample_rate,
                scale.window(sample_rate),
                hop_length=scale.window(sample_rate) // 4,
                n_mels=scale.num_mels,
                power=1.0,
                # Zeros at the edges, not a reflection, which audio shorter than half a window does
                # not have.
                pad_mode="constant",
            )
            for scale in scales
        )

    @override
    def forward(self, estimate_BS: torch.Tensor, reference_BS: torch.Tensor) -> torch.Tensor:
        """Scalar distance."""
        distances = []
        for mel in self.mels:
            difference = self._log(mel, estimate_BS) - self._log(mel, reference_BS)
            distances.append(difference.abs().mean())
        return torch.stack(distances).mean()

    def _log(self, mel: nn.Module, wave_BS: torch.Tensor) -> torch.Tensor:
        return mel(wave_BS).clamp_min(self.floor).log10()


def snr(
    estimate_BS: torch.Tensor, reference_BS: torch.Tensor, ceiling: float = 30.0
) -> torch.Tensor:
    """Signal-to-noise ratio (B,) in dB, at most `ceiling`.

    It is not scale-invariant, so the codec keeps levels; and it has a gradient where estimate and
    reference are unrelated.

    >>> snr(torch.tensor([[0.9, 0.0]]), torch.tensor([[1.0, 0.0]])).round(decimals=1)
    tensor([19.6000])
    """
    energy_B = reference_BS.square().sum(-1)
    error_BS = reference_BS - estimate_BS
    # A share of the signal counts as noise, which sets the ceiling.
    least_noise_B = 10 ** (-ceiling / 10) * energy_B
    noise_B = error_BS.square().sum(-1) + least_noise_B
    ratio_B = (energy_B + SMALL) / (noise_B + SMALL)
    return 10 * ratio_B.log10()


def si_sdr(
    estimate_BS: torch.Tensor, reference_BS: torch.Tensor, ceiling: float = 30.0
) -> torch.Tensor:
    """Scale-invariant SDR (B,) in dB (Le Roux et al. 2019), at most `ceiling`.

    Unlike SNR it does not reward silence for a signal that the codec finds hard.

    >>> reference_BS = torch.tensor([[1.0, 0.0]])
    >>> si_sdr(torch.tensor([[0.5, 0.0]]), reference_BS).round(decimals=1)
    tensor([30.])
    """
    energy_B1 = reference_BS.square().sum(-1, keepdim=True) + SMALL
    product_B1 = (estimate_BS * reference_BS).sum(-1, keepdim=True)
    target_BS = product_B1 / energy_B1 * reference_BS
    return snr(estimate_BS, target_BS, ceiling)
