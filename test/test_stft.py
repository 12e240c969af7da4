"""The STFT of frames against NumPy, and its inverse."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aio_toolkit.errors import AioError
from aio_toolkit.stft import SubframeStft


@pytest.mark.parametrize("subframes", [1, 2, 4])
@pytest.mark.parametrize("window", [1.5, 3.2])
@pytest.mark.parametrize("S", [1, 31, 32, 100])
def test_a_column_is_the_spectrum_of_the_samples_around_its_own(subframes, window, S):
    stft = SubframeStft(hop=32, subframes=subframes, window=window)
    wave_S = np.random.default_rng(S).standard_normal(S).astype(np.float32)
    found_KF = stft(torch.from_numpy(wave_S)[None])[0].numpy()
    assert found_KF.shape[0] == -(-S // 32) * subframes

    step, W = 32 // subframes, 2 * (stft.num_frequencies - 1)
    hann_W = np.sin(np.pi * np.arange(W) / W) ** 2
    padded_S = np.pad(wave_S, (W, W + 32))
    for k in range(found_KF.shape[0]):
        # As many samples before the sub-frame as behind it.
        first = W + k * step - (W - step) // 2
        piece_W = padded_S[first : first + W]
        np.testing.assert_allclose(found_KF[k], np.fft.rfft(piece_W * hann_W), atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(
    S=st.integers(1, 700),
    subframes=st.sampled_from([1, 2, 5]),
    window=st.sampled_from([2.0, 3.2, 4.0]),
    padding=st.integers(0, 200),
)
def test_the_inverse_gives_the_wave_back_whatever_pads_it(S, subframes, window, padding):
    stft = SubframeStft(hop=40, subframes=subframes, window=window)
    torch.manual_seed(S)
    wave_XS = torch.randn(2, S)
    spectrum_XKF = stft(torch.nn.functional.pad(wave_XS, (0, padding)))
    frames = -(-S // 40)
    columns_X = stft.columns(torch.tensor([frames, frames]))
    back_XS = stft.inverse(spectrum_XKF, columns_X, S + padding)
    assert back_XS.shape == (2, S + padding)
    torch.testing.assert_close(back_XS[:, :S], wave_XS, atol=1e-3, rtol=1e-3)


def test_a_row_is_transformed_back_as_if_it_were_alone():
    stft = SubframeStft(hop=32)
    torch.manual_seed(0)
    spectrum_XKF = torch.randn(2, 10, stft.num_frequencies, dtype=torch.complex64)
    together_XS = stft.inverse(spectrum_XKF, torch.tensor([10, 6]), 160)
    alone_1S = stft.inverse(spectrum_XKF[1:, :6], torch.tensor([6]), 96)
    torch.testing.assert_close(together_XS[1, :96], alone_1S[0])


def test_sources_of_a_row_share_its_columns():
    stft = SubframeStft(hop=32)
    torch.manual_seed(0)
    spectrum_BNKF = torch.randn(2, 3, 10, stft.num_frequencies, dtype=torch.complex64)
    columns_B = torch.tensor([10, 6])
    found_BNS = stft.inverse(spectrum_BNKF, columns_B[:, None], 150)
    each_XS = stft.inverse(spectrum_BNKF.flatten(0, 1), columns_B.repeat_interleave(3), 150)
    torch.testing.assert_close(found_BNS.flatten(0, 1), each_XS)


def test_the_inverse_of_a_sum_of_masked_spectra_is_the_mixture():
    stft = SubframeStft(hop=32)
    mixture_S = torch.randn(100)
    spectrum_KF = stft(mixture_S[None])[0]
    mask_KF = torch.rand(spectrum_KF.shape)
    both_XKF = torch.stack([mask_KF * spectrum_KF, (1 - mask_KF) * spectrum_KF])
    waves_XS = stft.inverse(both_XKF, torch.tensor([8, 8]), 100)
    torch.testing.assert_close(waves_XS.sum(0), mixture_S, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subframes": 3}, "3 sub-frames do not divide a frame of 32"),
        ({"subframes": 0}, "0 sub-frames do not divide"),
        ({"window": 1.0}, "window: 1.0 sub-frames leave gaps"),
    ],
)
def test_windows_that_do_not_fit_are_refused(options, message):
    with pytest.raises(AioError, match=message):
        SubframeStft(hop=32, **options)
