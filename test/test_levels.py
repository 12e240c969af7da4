"""Levels of padded waves."""

import numpy as np
import torch

from aio_toolkit.levels import LEAST_RMS, at_unit_level, rms_levels


def test_a_level_is_of_the_real_samples_alone():
    rng = np.random.default_rng(0)
    rows = [rng.standard_normal(size) for size in (7, 3)]
    wave_BS = torch.zeros(2, 7)
    for row, wave_S in enumerate(rows):
        wave_BS[row, : len(wave_S)] = torch.from_numpy(wave_S)
    found_B = rms_levels(wave_BS, torch.tensor([7, 3]))
    want_B = [np.sqrt(np.mean(wave_S**2)) for wave_S in rows]
    np.testing.assert_allclose(found_B.numpy(), want_B, rtol=1e-6)


def test_a_wave_at_unit_level_has_it_and_keeps_its_shape():
    wave_BS = torch.randn(2, 50) * torch.tensor([[0.01], [20.0]])
    samples_B = torch.tensor([50, 50])
    levelled_BS = at_unit_level(wave_BS, samples_B)
    torch.testing.assert_close(rms_levels(levelled_BS, samples_B), torch.ones(2))
    ratio_BS = levelled_BS / wave_BS
    torch.testing.assert_close(ratio_BS, ratio_BS[:, :1].expand(2, 50))


def test_silence_stays_silent():
    silence_BS = torch.zeros(1, 9)
    assert rms_levels(silence_BS, torch.tensor([9])).item() == np.float32(LEAST_RMS)
    assert at_unit_level(silence_BS, torch.tensor([9])).abs().max() == 0
