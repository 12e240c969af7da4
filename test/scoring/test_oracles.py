"""Bounds by a codec whose codes are samples in coarse steps."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from aio_toolkit.masks import WienerFilter, wiener
from aio_toolkit.scoring import oracles as module
from aio_toolkit.scoring.oracles import codec_bounds, ideal_mask
from aio_toolkit.stft import SubframeStft

HOP, SIZE, STEPS = 32, 1001, 16
FILTER = WienerFilter(WienerFilter.Config(window=128, power=1.3, detail=0.4))


class Codec:
    """A frame is a hop of samples, a code a sample in steps of 1/16; notes what it encodes."""

    def __init__(self):
        self.encoded: list[tuple[int, ...]] = []

    def encode(self, wave_BS: torch.Tensor) -> SimpleNamespace:
        self.encoded.append(tuple(wave_BS.shape))
        missing = -wave_BS.shape[1] % HOP
        frames_BTQ = torch.nn.functional.pad(wave_BS, (0, missing)).unflatten(1, (-1, HOP))
        return SimpleNamespace(codes_BTQ=(frames_BTQ * STEPS).round().long())

    def decode(self, codes_BTQ: torch.Tensor) -> torch.Tensor:
        return (codes_BTQ / STEPS).flatten(1)


@pytest.fixture
def codec(monkeypatch) -> Codec:
    made = Codec()
    monkeypatch.setattr(module, "load_once", lambda where: {"mine": made}[where])
    return made


@pytest.fixture
def sources() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.standard_normal((3, SIZE)) * [[1.0], [0.4], [0.1]]).astype(np.float32)


def coarse(wave_NS: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.round(wave_NS * STEPS) / STEPS)


def test_bounds_are_made_of_the_true_sources_and_the_mixture(codec, sources):
    mixture_S = sources.sum(0)
    found = codec_bounds(mixture_S, sources, "mine", FILTER)
    mixture = torch.from_numpy(mixture_S)
    want = {
        "oracle_codec": coarse(sources),
        "oracle_wiener": wiener(mixture, coarse(sources), 128, 1.3, 0.4),
    }
    assert list(found) == list(want)
    for output, want_NS in want.items():
        np.testing.assert_array_equal(found[output], want_NS)


def test_a_source_is_encoded_as_in_stage_2_alone(codec, sources):
    codec_bounds(sources.sum(0), sources, "mine", FILTER)
    assert codec.encoded == [(1, SIZE)] * 3


def test_bounds_are_as_long_as_the_input(codec, sources):
    found = codec_bounds(sources.sum(0), sources, "mine", FILTER)
    assert {wave_NS.shape for wave_NS in found.values()} == {(3, SIZE)}


def test_a_codec_is_loaded_once(monkeypatch):
    loaded = []
    monkeypatch.setattr(module, "load_codec", loaded.append)
    module.load_once.cache_clear()
    for _ in range(3):
        module.load_once("exp/codec")
    module.load_once.cache_clear()
    assert loaded == ["exp/codec"]


def test_the_ideal_mask_is_the_share_of_a_source_in_every_bin_of_the_mask_path_s_stft(sources):
    mixture_S = sources.sum(0)
    found = ideal_mask(mixture_S, sources, hop=320)
    stft = SubframeStft(320)
    level_NKF = stft(torch.from_numpy(sources)).abs() + 1e-9
    mixture_KF = stft(torch.from_numpy(mixture_S)[None])[0]
    for n in range(3):
        share_KF = level_NKF[n] / level_NKF.sum(0)
        want_1S = stft.inverse((share_KF * mixture_KF)[None], torch.tensor([8]), SIZE)
        np.testing.assert_allclose(found[n], want_1S[0].numpy(), atol=1e-5)
    np.testing.assert_allclose(found.sum(0), mixture_S, atol=1e-4)
