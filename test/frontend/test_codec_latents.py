"""Latents of a codec as features."""

import pytest
import torch

from aio_toolkit.codec.base import load_codec
from aio_toolkit.codec.dac import Dac
from aio_toolkit.codec.dac_model import build_dac, save_dac
from aio_toolkit.errors import AioError
from aio_toolkit.frames import FrameGrid
from aio_toolkit.frontend.codec_latents import CodecLatents


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> str:
    """A codec with random weights: 8 latent channels, frames of 320 samples."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("codec")
    config = Dac.Config(16000, 4, [8, 5, 4, 2], 8, 16, [2, 4, 5, 8], 2, 16, 4)
    save_dac(folder, build_dac(config), config)
    return str(folder)


def latents(path: str) -> CodecLatents:
    return CodecLatents(CodecLatents.Config(codec=path), FrameGrid(16000, 320))


def test_features_are_the_codec_s_latents_at_the_wave_s_own_level(path):
    wave_BS = 0.1 * torch.randn(2, 1000)
    found_BTC = latents(path)(wave_BS, torch.tensor([1000, 1000]))
    assert found_BTC.shape == (2, 4, latents(path).num_features)
    want_BTC = load_codec(path).encode(wave_BS).latents_BTC
    torch.testing.assert_close(found_BTC, want_BTC)


def test_a_padded_row_has_the_latents_that_it_has_alone(path):
    wave_BS = 0.1 * torch.randn(2, 1000)
    wave_BS[1, 500:] = 0
    found_BTC = latents(path)(wave_BS, torch.tensor([1000, 500]))
    alone_BTC = latents(path)(wave_BS[1:, :500], torch.tensor([500]))
    torch.testing.assert_close(found_BTC[1, :2], alone_BTC[0], atol=1e-5, rtol=1e-4)
    assert found_BTC[1, 2:].abs().max() == 0


def test_the_codec_is_no_part_of_the_weights(path):
    assert latents(path).state_dict() == {}


def test_a_codec_with_other_frames_is_refused(path):
    message = "has frames of 320 samples at 16000 Hz, the model has 160 at 8000 Hz"
    with pytest.raises(AioError, match=message):
        CodecLatents(CodecLatents.Config(codec=path), FrameGrid(8000, 160))
