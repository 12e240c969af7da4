"""Front-end features: lengths, alignment, and values against a direct computation."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from aio_toolkit.codec.base import CodecFingerprint, Encoded
from aio_toolkit.errors import AioError
from aio_toolkit.frontend.features import FrontEnd, LogMel, split_features

FINGERPRINT = CodecFingerprint("tiny", "0", 16000, 320, 2, 16, 6)


@pytest.fixture
def codec():
    """All that a front end wants to know of a codec."""
    return SimpleNamespace(fingerprint=FINGERPRINT, sample_rate=16000, hop=320)


def encoded_of(wave_BS: torch.Tensor) -> Encoded:
    B, T = len(wave_BS), -(-wave_BS.shape[1] // 320)
    return Encoded(torch.zeros(B, T, 2, dtype=torch.long), torch.randn(B, T, 6))


@pytest.mark.parametrize("S", [1, 319, 320, 321, 5000])
@pytest.mark.parametrize(
    ("options", "num_features"),
    [({}, 166), ({"log_mel": False}, 6), ({"codec_latents": False, "num_mels": 40}, 80)],
)
def test_every_hop_of_samples_gives_one_frame(codec, S, options, num_features):
    wave_BS = torch.randn(2, S)
    front_end = FrontEnd(FrontEnd.Config(**options), codec)
    assert front_end(wave_BS, encoded_of(wave_BS)).shape == (2, -(-S // 320), num_features)


def test_features_split_into_log_mel_and_latents(codec):
    wave_BS = torch.randn(2, 1000)
    encoded, front_end = encoded_of(wave_BS), FrontEnd(FrontEnd.Config(num_mels=20), codec)
    feats_BTF = front_end(wave_BS, encoded)
    log_mel, latents = split_features(feats_BTF, front_end.fingerprint.num_latents(6))
    assert torch.equal(log_mel, LogMel(FrontEnd.Config(num_mels=20), 16000, 320)(wave_BS))
    assert torch.equal(latents, encoded.latents_BTC)


def test_features_without_latents_are_all_log_mel(codec):
    front_end = FrontEnd(FrontEnd.Config(codec_latents=False), codec)
    assert front_end.fingerprint.num_latents(6) == 0
    log_mel, latents = split_features(torch.randn(2, 5, 160), 0)
    assert (log_mel.shape, latents.shape) == ((2, 5, 160), (2, 5, 0))


def test_what_is_split_can_be_changed_in_place():
    std_F = torch.ones(5)
    _, latents = split_features(std_F, 2)
    latents /= 4
    assert std_F.tolist() == [1, 1, 1, 0.25, 0.25]


def test_a_click_lights_up_its_own_frame():
    log_mel = LogMel(FrontEnd.Config(), 16000, 320)
    for sample in (0, 1600, 3199):
        wave = torch.zeros(1, 3200)
        wave[0, sample] = 1.0
        energy_T = log_mel(wave)[0].exp().sum(-1)
        assert energy_T.argmax().item() == sample // 320


def test_values_equal_a_direct_computation():
    from torchaudio.functional import melscale_fbanks

    torch.manual_seed(0)
    wave = torch.randn(1, 1600)
    got = LogMel(FrontEnd.Config(num_mels=20), 16000, 320)(wave)[0]
    # Window 400 centred in 512; window w of hop 160 starts (512 - 160) / 2 before sample 160 w.
    window = np.zeros(512)
    window[56:456] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    padded = np.pad(wave[0].numpy(), 1000)
    banks = melscale_fbanks(257, 0.0, 8000.0, 20, 16000).numpy()
    for frame in range(5):
        for half in range(2):
            start = 1000 + 320 * frame + 160 * half - 176
            spectrum = np.abs(np.fft.rfft(padded[start : start + 512] * window)) ** 2
            own = got[frame, 20 * half : 20 * (half + 1)].numpy()
            np.testing.assert_allclose(own, np.log(spectrum @ banks + 1e-6), atol=1e-3)


def test_the_fingerprint_names_what_matters(codec):
    found = dataclasses.asdict(FrontEnd(FrontEnd.Config(num_mels=40), codec).fingerprint)
    options = {"window_ms": 25.0, "hop_ms": 10.0, "hop": 320, "codec_sha256": "0"}
    assert found == {"log_mel": True, "codec_latents": True, "num_mels": 40, **options}


def test_the_codec_does_not_matter_where_its_latents_are_left_out(codec):
    config = FrontEnd.Config(codec_latents=False)
    first = FrontEnd(config, codec).fingerprint
    codec.fingerprint = dataclasses.replace(FINGERPRINT, weights_sha256="1")
    assert FrontEnd(config, codec).fingerprint == first
    assert FrontEnd(FrontEnd.Config(), codec).fingerprint.codec_sha256 == "1"


def test_no_features_is_an_error(codec):
    with pytest.raises(AioError, match="no features"):
        FrontEnd(FrontEnd.Config(log_mel=False, codec_latents=False), codec)


def test_a_step_that_does_not_divide_the_codecs_hop_is_named(codec):
    with pytest.raises(AioError, match=r"hop_ms 7.0 \(112 samples\) does not divide"):
        FrontEnd(FrontEnd.Config(hop_ms=7.0), codec)
