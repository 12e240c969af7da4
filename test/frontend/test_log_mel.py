"""Log-mel features against librosa, and what they must not depend on."""

import librosa
import numpy as np
import pytest
import torch

from aio_toolkit.errors import AioError
from aio_toolkit.frames import FrameGrid
from aio_toolkit.frontend.log_mel import FLOOR, LogMel

GRID = FrameGrid(16000, 320)


def noise(*lengths: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Padded waves of different levels, and their lengths."""
    rng = np.random.default_rng(0)
    wave_BS = np.zeros((len(lengths), max(lengths)), np.float32)
    for row, length in enumerate(lengths):
        wave_BS[row, :length] = 0.1 * (row + 1) * rng.standard_normal(length)
    return torch.from_numpy(wave_BS), torch.tensor(lengths)


@pytest.mark.parametrize(("subframes", "window", "n_fft"), [(2, 2.5, 512), (1, 1.0, 512)])
def test_the_energies_are_those_of_librosa_over_the_frame_s_own_samples(subframes, window, n_fft):
    options = LogMel.Config(num_mels=20, subframes=subframes, window=window)
    wave_BS, samples_B = noise(1000)
    found_TF = LogMel(options, GRID)(wave_BS, samples_B)[0]

    wave_S = wave_BS[0].numpy()
    wave_S = wave_S / np.sqrt(np.mean(wave_S**2))
    step = 320 // subframes
    # The windows of K sub-frames, each in the middle of its Fourier transform.
    before = (n_fft - step) // 2
    padded_S = np.pad(wave_S, (before, 4 * 320 - 1000 + n_fft - step - before))
    energy_FK = librosa.feature.melspectrogram(
        y=padded_S,
        sr=16000,
        n_fft=n_fft,
        win_length=round(window * step),
        hop_length=step,
        center=False,
        n_mels=20,
        htk=True,
        norm=None,
    )
    want_TF = np.log(energy_FK + FLOOR).T.reshape(4, 20 * subframes)
    np.testing.assert_allclose(found_TF.numpy(), want_TF, atol=1e-3)


def test_features_do_not_depend_on_padding_or_on_other_rows():
    log_mel = LogMel(LogMel.Config(num_mels=20), GRID)
    wave_BS, samples_B = noise(1500, 700)
    together_BTF = log_mel(wave_BS, samples_B)
    alone_BTF = log_mel(wave_BS[1:, :700], samples_B[1:])
    torch.testing.assert_close(together_BTF[1, :3], alone_BTF[0], atol=1e-4, rtol=1e-4)
    assert together_BTF[1, 3:].abs().max() == 0


def test_features_do_not_depend_on_the_level():
    log_mel = LogMel(LogMel.Config(num_mels=20), GRID)
    wave_BS, samples_B = noise(900)
    loud, quiet = log_mel(wave_BS, samples_B), log_mel(0.01 * wave_BS, samples_B)
    torch.testing.assert_close(loud, quiet, atol=1e-3, rtol=1e-4)


def test_silence_has_finite_features():
    found = LogMel(LogMel.Config(), GRID)(torch.zeros(1, 400), torch.tensor([400]))
    assert found.isfinite().all()


@pytest.mark.parametrize("subframes", [0, 3])
def test_sub_frames_divide_the_frame(subframes):
    with pytest.raises(AioError, match=f"log_mel: {subframes} sub-frames do not divide"):
        LogMel(LogMel.Config(subframes=subframes), GRID)
