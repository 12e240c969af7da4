"""The mixture-consistent filter: sums, limits, and what an oracle gains."""

import numpy as np
import pytest
import scipy.signal
import torch

from aio_toolkit.decoding.wiener import wiener


@pytest.mark.parametrize("S", [1, 100, 511, 4000, 16001])
@pytest.mark.parametrize("N", [2, 3])
def test_outputs_of_several_estimates_sum_to_the_mixture(S, N):
    torch.manual_seed(S)
    mixture, estimates = torch.randn(S), torch.randn(N, S)
    estimates[0, S // 2 :] = 0
    torch.testing.assert_close(wiener(mixture, estimates).sum(0), mixture, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("detail", [0.3, 1.0])
def test_detail_keeps_the_sum_and_at_one_shares_the_remainder_out(detail):
    torch.manual_seed(0)
    mixture, estimates = torch.randn(4000), torch.randn(3, 4000)
    outputs = wiener(mixture, estimates, detail=detail)
    torch.testing.assert_close(outputs.sum(0), mixture, atol=1e-4, rtol=1e-4)
    whole = wiener(mixture, estimates, detail=1.0)
    torch.testing.assert_close(outputs, wiener(mixture, estimates).lerp(whole, detail), atol=1e-5, rtol=1e-4)
    consistent = estimates + mixture - estimates.sum(0)  # nothing to share out: the estimates sum to it
    torch.testing.assert_close(wiener(estimates.sum(0), estimates, detail=1.0), estimates, atol=1e-4, rtol=1e-4)
    assert (whole - consistent).abs().max() > 0.1  # the remainder is shared by masks, not given to all


def test_detail_lets_true_sources_pass_where_masks_cannot():
    torch.manual_seed(0)
    sources = torch.randn(2, 4000)
    error = (wiener(sources.sum(0), sources) - sources).square().mean()
    exact = (wiener(sources.sum(0), sources, detail=1.0) - sources).square().mean()
    assert exact < 1e-6 * error


def test_equals_masks_computed_with_scipy():
    rng = np.random.default_rng(0)
    mixture, estimates = rng.standard_normal(3000), rng.standard_normal((2, 3000))

    def stft(wave):
        return scipy.signal.stft(wave, window="hann", nperseg=256, noverlap=192, boundary="zeros", padded=True)[2]

    strength = np.abs(stft(estimates)) ** 1.5
    masked = strength / strength.sum(0) * stft(mixture)
    want = scipy.signal.istft(masked, window="hann", nperseg=256, noverlap=192, boundary=True)[1][:, :3000]
    got = wiener(torch.from_numpy(mixture), torch.from_numpy(estimates), window=256, power=1.5)
    # The last half window is framed differently by the two libraries.
    np.testing.assert_allclose(got.numpy()[:, :2800], want[:, :2800], atol=1e-8)


def test_a_lone_perfect_estimate_leaves_the_mixture_as_it_is():
    mixture = torch.randn(2000)
    torch.testing.assert_close(wiener(mixture, mixture[None])[0], mixture, atol=1e-5, rtol=1e-5)


def test_a_lone_silent_estimate_gives_silence():
    assert wiener(torch.randn(2000), torch.zeros(1, 2000)).abs().max() < 1e-6


def test_silence_stays_finite():
    assert wiener(torch.zeros(2000), torch.zeros(2, 2000)).abs().max() == 0


def test_true_magnitudes_separate_two_tones():
    t = torch.arange(8000) / 8000
    sources = torch.stack([torch.sin(2 * torch.pi * 440 * t), torch.sin(2 * torch.pi * 1500 * t)])
    outputs = wiener(sources.sum(0), sources)
    error = (outputs - sources).square().sum(1) / sources.square().sum(1)
    assert (10 * error.log10() < -20).all()
