"""The mixture-consistent filter: sums, limits, a slow reference, and what an oracle gains."""

import numpy as np
import pytest
import torch

from aio_toolkit import masks as module
from aio_toolkit.masks import WienerFilter, wiener


def mean_square(error):
    return error.square().mean()


@pytest.mark.parametrize("S", [1, 100, 511, 4000, 16001])
@pytest.mark.parametrize("N", [2, 3])
@pytest.mark.parametrize("detail", [0.0, 0.3, 1.0])
def test_outputs_of_several_estimates_sum_to_the_mixture(S, N, detail):
    torch.manual_seed(S)
    mixture, estimates = torch.randn(S), torch.randn(N, S)
    estimates[0, S // 2 :] = 0
    tolerance = {"atol": 1e-4, "rtol": 1e-4}
    filtered = wiener(mixture, estimates, detail=detail)
    torch.testing.assert_close(filtered.sum(0), mixture, **tolerance)


def slow_wiener(mixture_FT, estimate_NFT, power, detail):
    """The formulas of the docstring with a loop over bands and bins."""
    N, F, T = estimate_NFT.shape
    level_NFT = np.zeros((N, F, T))
    for f in range(F):
        for t in range(T):
            around = np.abs(estimate_NFT[:, max(0, f - 1) : f + 2, max(0, t - 1) : t + 2]) ** 2
            level_NFT[:, f, t] = around.mean((1, 2)) ** (power / 2)
    floor = (1e-4 * np.abs(mixture_FT).mean()) ** power + 1e-9
    output_NFT = np.zeros_like(estimate_NFT)
    for first in range(0, F, 4):
        band = slice(first, first + 4)
        mixture_L, estimate_NL = mixture_FT[band].ravel(), estimate_NFT[:, band].reshape(N, -1)
        stacked_N2L = np.concatenate([estimate_NL.real, estimate_NL.imag], 1)
        gain_N = np.linalg.lstsq(stacked_N2L.T, np.concatenate([mixture_L.real, mixture_L.imag]))[0]
        own_NL = detail * np.clip(gain_N, 0, 1)[:, None] * estimate_NL
        rest_L = mixture_L - own_NL.sum(0)
        level_NL = level_NFT[:, band].reshape(N, -1) + floor
        factor_N = np.ones(N)
        for _ in range(3):
            total_L = factor_N @ level_NL
            wanted_N = (level_NL * (np.abs(rest_L) ** power + floor) / total_L**2).sum(1)
            factor_N = factor_N * np.sqrt(wanted_N / (level_NL / total_L).sum(1))
        mask_NL = factor_N[:, None] * level_NL / (factor_N @ level_NL)
        output_NFT[:, band] = (own_NL + mask_NL * rest_L).reshape(N, -1, T)
    return output_NFT


@pytest.mark.parametrize("power", [1.0, 2.0])
@pytest.mark.parametrize("detail", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("window", [64, 256])
def test_equals_a_loop_over_bands(power, detail, window):
    rng = np.random.default_rng(0)
    sources = rng.standard_normal((3, 2000)) * np.array([[1.0], [0.5], [0.1]])
    mixture = torch.from_numpy(sources.sum(0))
    estimates = torch.from_numpy(sources + rng.standard_normal((3, 2000)))
    spectra = module._stft(mixture, window).numpy(), module._stft(estimates, window).numpy()
    slow = torch.from_numpy(slow_wiener(*spectra, power, detail))
    want = module._istft(slow, window, 2000)
    # The ridge on the gains is the one thing that the reference lacks.
    found = wiener(mixture, estimates, window, power, detail)
    torch.testing.assert_close(found, want, atol=3e-3, rtol=0)


def test_true_sources_pass_where_masks_cannot():
    torch.manual_seed(0)
    sources = torch.randn(2, 4000, dtype=torch.double)
    masked = mean_square(wiener(sources.sum(0), sources) - sources)
    assert mean_square(wiener(sources.sum(0), sources, detail=1.0) - sources) < 1e-4 * masked


def test_estimates_without_a_useful_phase_are_masks():
    torch.manual_seed(0)
    ramps = torch.stack([torch.linspace(0, 1, 16000), torch.linspace(1, 0, 16000)])
    sources = torch.randn(2, 16000) * ramps
    mixture = sources.sum(0)
    estimates = torch.randn(2, 16000) * sources.abs()  # the right envelope, nothing else
    masks = mean_square(wiener(mixture, estimates) - sources)
    trusting = mean_square(wiener(mixture, estimates, detail=1.0) - sources)
    assert masks < 0.5 * mean_square(mixture - sources)
    assert trusting < 1.2 * masks < mean_square(estimates - sources)


def test_errors_come_nearer_to_the_remainder_with_every_update(monkeypatch):
    torch.manual_seed(0)
    rest_FT, level_NFT = torch.rand(20, 30) + 0.01, torch.rand(3, 20, 30) + 0.01
    divergences = []
    for updates in range(6):
        monkeypatch.setattr(module, "UPDATES", updates)
        ratio_FT = rest_FT / module._errors(rest_FT, level_NFT).sum(0)
        divergences.append((ratio_FT - ratio_FT.log() - 1).sum())
    assert all(after < before for before, after in zip(divergences, divergences[1:], strict=False))


def test_a_lone_estimate_that_is_the_mixture_leaves_it_as_it_is():
    mixture = torch.randn(2000)
    torch.testing.assert_close(wiener(mixture, mixture[None])[0], mixture, atol=1e-2, rtol=0)


def test_a_lone_silent_estimate_gives_silence():
    assert wiener(torch.randn(2000), torch.zeros(1, 2000)).abs().max() < 1e-2


def test_a_lone_estimate_has_what_it_leaves_for_a_rival():
    torch.manual_seed(0)
    mixture, estimate = torch.randn(1500), torch.randn(1, 1500)
    both = torch.cat([estimate, mixture - estimate])
    assert torch.equal(wiener(mixture, estimate), wiener(mixture, both)[:1])


@pytest.mark.parametrize("detail", [0.0, 1.0])
def test_silence_stays_silent(detail):
    assert wiener(torch.zeros(2000), torch.zeros(2, 2000), detail=detail).abs().max() == 0


def test_true_magnitudes_separate_two_tones():
    t = torch.arange(8000) / 8000
    sources = torch.stack([torch.sin(2 * torch.pi * 440 * t), torch.sin(2 * torch.pi * 1500 * t)])
    outputs = wiener(sources.sum(0), sources)
    error = (outputs - sources).square().sum(1) / sources.square().sum(1)
    assert (10 * error.log10() < -20).all()


# --- the filter with its options ---


@pytest.fixture
def sources() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(2, 1001) * torch.tensor([[1.0], [0.4]])


OPTIONS = WienerFilter.Config(window=128, power=1.3, detail=0.4)


def test_the_filter_works_with_the_configured_window_power_and_detail(sources):
    estimate_NS = sources + 0.3 * torch.randn_like(sources)
    want = wiener(sources.sum(0), estimate_NS, window=128, power=1.3, detail=0.4)
    assert torch.equal(WienerFilter(OPTIONS)(sources.sum(0), estimate_NS), want)
