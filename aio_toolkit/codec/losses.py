"""Reconstruction losses of codec training. Letters: B batch, S samples, F mel bands, T frames."""

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class MelScale:
    """One resolution of the mel loss: window in samples and number of bands."""

    window: int
    num_mels: int


# Few scales with few bands: on a CPU the full set of the original paper costs as much as the codec.
MEL_SCALES = (MelScale(2048, 128), MelScale(512, 64), MelScale(128, 16))


class MultiScaleMelLoss(nn.Module):
    """L1 distance of log10 mel magnitudes, averaged over resolutions (Kumar et al. 2023, section 3.4)."""

    def __init__(self, sample_rate: int, scales: tuple[MelScale, ...] = MEL_SCALES, floor: float = 1e-3):
        super().__init__()
        from torchaudio.transforms import MelSpectrogram

        self.floor = floor
        # Zeros at the edges, not a reflection, which audio shorter than half a window does not have.
        self.mels = nn.ModuleList(
            MelSpectrogram(
                sample_rate, s.window, hop_length=s.window // 4, n_mels=s.num_mels, power=1.0, pad_mode="constant"
            )
            for s in scales
        )

    def forward(self, estimate_BS: torch.Tensor, reference_BS: torch.Tensor) -> torch.Tensor:
        """Scalar distance."""
        distances = [(self._log(mel, estimate_BS) - self._log(mel, reference_BS)).abs().mean() for mel in self.mels]
        return torch.stack(distances).mean()

    def _log(self, mel: nn.Module, wave_BS: torch.Tensor) -> torch.Tensor:
        return mel(wave_BS).clamp_min(self.floor).log10()


def snr(estimate_BS: torch.Tensor, reference_BS: torch.Tensor, ceiling: float = 30.0) -> torch.Tensor:
    """Signal-to-noise ratio (B,) in dB, at most `ceiling`.

    Not scale-invariant, so the codec keeps levels; and it has a gradient where estimate and reference are unrelated.
    """
    energy_B = reference_BS.square().sum(-1)
    noise_B = (reference_BS - estimate_BS).square().sum(-1) + 10 ** (-ceiling / 10) * energy_B
    return 10 * ((energy_B + 1e-6) / (noise_B + 1e-6)).log10()


def si_sdr(estimate_BS: torch.Tensor, reference_BS: torch.Tensor, ceiling: float = 30.0) -> torch.Tensor:
    """Scale-invariant SDR (B,) in dB (Le Roux et al. 2019), at most `ceiling`.

    Unlike SNR it does not reward silence for a signal that the codec finds hard.
    """
    energy_B1 = reference_BS.square().sum(-1, keepdim=True) + 1e-6
    target_BS = (estimate_BS * reference_BS).sum(-1, keepdim=True) / energy_B1 * reference_BS
    return snr(estimate_BS, target_BS, ceiling)
