"""Levels of padded waves. Letters: B batch, S samples."""

import torch

# Quieter waves count as this loud: digital silence has no level.
LEAST_RMS = 1e-5


def rms_levels(wave_BS: torch.Tensor, samples_B: torch.Tensor) -> torch.Tensor:
    """Root mean square (B,) of the real samples of waves that are zero on padding.

    >>> wave_BS = torch.tensor([[3.0, -3.0, 0.0, 0.0], [1.0, 1.0, -1.0, 1.0]])
    >>> rms_levels(wave_BS, torch.tensor([2, 4]))
    tensor([3., 1.])
    """
    energy_B = wave_BS.float().square().sum(1)
    mean_B = energy_B / samples_B
    return mean_B.sqrt().clamp_min(LEAST_RMS)


def at_unit_level(wave_BS: torch.Tensor, samples_B: torch.Tensor) -> torch.Tensor:
    """The waves, each divided by its RMS: how loud a recording is tells nothing of what it holds.

    >>> at_unit_level(torch.tensor([[4.0, -4.0, 0.0]]), torch.tensor([2]))
    tensor([[ 1., -1.,  0.]])
    """
    level_B = rms_levels(wave_BS, samples_B)
    return wave_BS / level_B[:, None]
