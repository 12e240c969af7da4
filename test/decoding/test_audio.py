"""From head to waves: which head output goes through which door of the codec, and the filters."""

import pytest
import torch

from aio_toolkit.decoding.audio import (
    MODES,
    estimate_waves,
    ideal_mask,
    mixture_consistent,
    oracle_wiener,
)
from aio_toolkit.decoding.config import AudioConfig
from aio_toolkit.decoding.wiener import ratio_mask, wiener
from aio_toolkit.errors import AioError

HOP, N, T, SAMPLES = 4, 2, 5, 18


class RoundingCodec:
    """A latent is a hop of samples; a code is one of them rounded."""

    def quantise(self, latents_BTC):
        return latents_BTC.round().long()

    def decode(self, codes_BTQ):
        return codes_BTQ.float().flatten(1)

    def decode_latents(self, latents_BTC):
        return latents_BTC.flatten(1)


class Head:
    """Three different answers, all of which depend on the frames they are asked about."""

    def latents(self, h_BTD, task, mixture_BTC):
        assert task == "sep"
        return torch.stack([h_BTD, mixture_BTC], 1)

    def soft_latents(self, h_BTD, task):
        assert task == "sep"
        return torch.stack([2 * h_BTD, 3 * h_BTD], 1)

    def argmax_codes(self, h_BTD, task):
        assert task == "sep"
        return torch.stack([h_BTD.long(), 1 + h_BTD.long()], 1)


@pytest.fixture
def frames() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return 9 * torch.rand(T, HOP), 9 * torch.rand(T, HOP)


def waves_of(frames, mode: str) -> torch.Tensor:
    return estimate_waves(Head(), RoundingCodec(), *frames, "sep", SAMPLES, mode)


def cut(latents_TC: torch.Tensor) -> torch.Tensor:
    return latents_TC.flatten()[:SAMPLES]


def test_latent_mode_decodes_the_codes_of_the_estimated_latents(frames):
    h_TD, mixture_TC = frames
    want = torch.stack([cut(h_TD.round()), cut(mixture_TC.round())])
    assert torch.equal(waves_of(frames, "latent"), want)


def test_soft_mode_decodes_expected_latents_as_they_are(frames):
    want = torch.stack([cut(2 * frames[0]), cut(3 * frames[0])])
    assert torch.equal(waves_of(frames, "soft"), want)


def test_argmax_mode_decodes_the_most_likely_codes(frames):
    want = torch.stack([cut(frames[0].floor()), cut(frames[0].floor() + 1)])
    assert torch.equal(waves_of(frames, "argmax"), want)


def test_an_unknown_mode_is_named_with_the_known_ones(frames):
    with pytest.raises(AioError, match=f"unknown audio.mode 'mean'.*{', '.join(MODES)}"):
        waves_of(frames, "mean")


@pytest.fixture
def sources() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(N, 1001) * torch.tensor([[1.0], [0.4]])


OPTIONS = AudioConfig(wiener_window=128, wiener_power=1.3, wiener_detail=0.4)


def test_the_filter_works_with_the_configured_window_power_and_detail(sources):
    estimate_NS = sources + 0.3 * torch.randn_like(sources)
    want = wiener(sources.sum(0), estimate_NS, window=128, power=1.3, detail=0.4)
    assert torch.equal(mixture_consistent(sources.sum(0), estimate_NS, OPTIONS), want)


def test_the_oracle_filter_has_the_same_window_and_power_and_trusts_the_phase(sources):
    coded_NS = sources + 0.3 * torch.randn_like(sources)
    want = wiener(sources.sum(0), coded_NS, window=128, power=1.3, detail=1.0)
    assert torch.equal(oracle_wiener(sources.sum(0), coded_NS, OPTIONS), want)


def test_the_oracle_filter_lets_true_sources_through_where_masks_cannot(sources):
    def error(result_NS):
        return (result_NS - sources).square().mean()

    mixture_S = sources.sum(0)
    masked = error(mixture_consistent(mixture_S, sources, AudioConfig()))
    assert error(oracle_wiener(mixture_S, sources, AudioConfig())) < 1e-3 * masked


def test_ideal_masks_have_the_configured_window_and_power(sources):
    want = ratio_mask(sources.sum(0), sources, window=128, power=1.3)
    assert torch.equal(ideal_mask(sources.sum(0), sources, OPTIONS), want)
