"""Front-end features: lengths, alignment, and values against a direct computation."""

import numpy as np
import pytest
import torch

from aio_toolkit.codec.dac import DacCodec, DacConfig, build_dac
from aio_toolkit.encoders.frontend import FrontEnd, FrontEndConfig, LogMel
from aio_toolkit.errors import AioError


@pytest.fixture(scope="module")
def codec():
    torch.manual_seed(0)
    config = DacConfig(16000, 4, [8, 5, 4, 2], 6, 16, [2, 4, 5, 8], 2, 8, 4)
    return DacCodec(build_dac(config), "tiny", "0")


@pytest.mark.parametrize("S", [1, 319, 320, 321, 5000])
def test_every_hop_of_samples_gives_one_frame(codec, S):
    wave = torch.randn(2, S)
    encoded = codec.encode(wave)
    frames = -(-S // 320)
    assert FrontEnd(FrontEndConfig(), codec)(wave, encoded).shape == (2, frames, 160 + 6)
    assert FrontEnd(FrontEndConfig(log_mel=False), codec)(wave, encoded).shape == (2, frames, 6)
    assert FrontEnd(FrontEndConfig(codec_latents=False, num_mels=40), codec)(wave, encoded).shape == (2, frames, 80)


def test_a_click_lights_up_its_own_frame():
    log_mel = LogMel(FrontEndConfig(), 16000, 320)
    for sample in (0, 1600, 3199):
        wave = torch.zeros(1, 3200)
        wave[0, sample] = 1.0
        energy_T = log_mel(wave)[0].exp().sum(-1)
        assert energy_T.argmax().item() == sample // 320


def test_values_equal_a_direct_computation():
    from torchaudio.functional import melscale_fbanks

    torch.manual_seed(0)
    wave = torch.randn(1, 1600)
    got = LogMel(FrontEndConfig(num_mels=20), 16000, 320)(wave)[0]
    # Window 400 centred in 512; window w of hop 160 starts (512 - 160) / 2 samples before sample 160 w.
    window = np.zeros(512)
    window[56:456] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    padded = np.pad(wave[0].numpy(), 1000)
    banks = melscale_fbanks(257, 0.0, 8000.0, 20, 16000).numpy()
    for frame in range(5):
        for half in range(2):
            start = 1000 + 320 * frame + 160 * half - 176
            spectrum = np.abs(np.fft.rfft(padded[start : start + 512] * window)) ** 2
            np.testing.assert_allclose(
                got[frame, 20 * half : 20 * (half + 1)].numpy(), np.log(spectrum @ banks + 1e-6), atol=1e-3
            )


def test_the_fingerprint_names_what_matters(codec):
    a, b = FrontEnd(FrontEndConfig(), codec), FrontEnd(FrontEndConfig(num_mels=40), codec)
    assert a.fingerprint != b.fingerprint
    assert a.fingerprint["codec_sha256"] == "0"


def test_no_features_is_an_error(codec):
    with pytest.raises(AioError, match="no features"):
        FrontEnd(FrontEndConfig(log_mel=False, codec_latents=False), codec)
    with pytest.raises(AioError, match="does not divide"):
        FrontEnd(FrontEndConfig(hop_ms=7.0), codec)
