"""The DAC against the `dac` package's own model."""

import hashlib

import pytest
import torch
import torch.nn.functional as F

from aio_toolkit.codec import dac
from aio_toolkit.codec.base import CodecFingerprint, check_same
from aio_toolkit.codec.dac import Dac
from aio_toolkit.codec.dac_model import build_dac, save_dac
from aio_toolkit.errors import AioError

# Odd strides: the package's decoder then returns fewer samples than hop times frames.
CONFIG = Dac.Config(16000, 4, [5, 3, 2], 8, 16, [2, 3, 5], 3, 11, 4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    directory = tmp_path_factory.mktemp("codec")
    save_dac(directory, build_dac(CONFIG), CONFIG)
    return directory


@pytest.fixture(scope="module")
def codec(folder):
    return Dac.load(folder)


@pytest.fixture(scope="module")
def reference(folder):
    from safetensors.torch import load_file

    model = build_dac(CONFIG).eval()
    model.load_state_dict(load_file(folder / "codec.safetensors"))
    return model


@pytest.mark.parametrize(
    "S", [1, 29, 30, 31, 777, 4800, pytest.param(60 * 16000, marks=pytest.mark.slow)]
)
def test_codes_equal_the_packages_own_of_the_same_padded_audio(codec, reference, S):
    wave_BS = torch.randn(2, S)
    encoded = codec.encode(wave_BS)
    with torch.no_grad():
        padded = reference.preprocess(wave_BS[:, None], 16000)
        codes_BQT = reference.encode(padded)[1]
    assert encoded.codes_BTQ.shape == (2, -(-S // 30), 3)
    assert torch.equal(encoded.codes_BTQ, codes_BQT.transpose(1, 2))
    torch.testing.assert_close(
        encoded.latents_BTC, reference.encoder(padded).transpose(1, 2), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("T", [1, 2, 40])
def test_decoding_equals_the_packages_own_except_for_the_exact_length(codec, reference, T):
    codes_BTQ = torch.randint(11, (2, T, 3))
    with torch.no_grad():
        want = reference.decode(reference.quantizer.from_codes(codes_BTQ.transpose(1, 2))[0])[:, 0]
    got = codec.decode(codes_BTQ)
    assert got.shape == (2, T * 30)
    assert want.shape[-1] != T * 30
    shared = min(want.shape[-1], T * 30)
    torch.testing.assert_close(got[:, :shared], want[:, :shared], atol=1e-5, rtol=1e-4)


def test_rows_of_several_lengths_are_coded_as_if_alone(codec):
    lengths_B = torch.tensor([1, 29, 30, 31, 900, 2000])
    wave_BS = torch.randn(len(lengths_B), 2000)
    ragged = codec.encode(wave_BS * (torch.arange(2000) < lengths_B[:, None]), lengths_B)
    for row, length in enumerate(lengths_B.tolist()):
        alone = codec.encode(wave_BS[row : row + 1, :length])
        frames = alone.codes_BTQ.shape[1]
        torch.testing.assert_close(
            ragged.latents_BTC[row, :frames], alone.latents_BTC[0], atol=1e-5, rtol=1e-4
        )
        assert torch.equal(ragged.codes_BTQ[row, :frames], alone.codes_BTQ[0])


def test_rows_of_several_lengths_are_decoded_as_if_alone(codec):
    frames_B = torch.tensor([1, 2, 17, 40])
    codes_BTQ = torch.randint(11, (len(frames_B), 40, 3))
    ragged = codec.decode(codes_BTQ, frames_B)
    for row, frames in enumerate(frames_B.tolist()):
        alone = codec.decode(codes_BTQ[row : row + 1, :frames])[0]
        torch.testing.assert_close(ragged[row, : frames * 30], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("S", [1500, 3001, 4470])
def test_long_audio_in_pieces_is_what_it_is_whole(codec, monkeypatch, S):
    wave_BS, lengths_B = torch.randn(2, S), torch.tensor([S, S // 3])
    whole, whole_ragged = codec.encode(wave_BS), codec.encode(wave_BS, lengths_B)
    decoded = codec.decode(whole.codes_BTQ)
    monkeypatch.setattr(dac, "PIECE_SECONDS", 30 * 40 / 16000)
    pieces, pieces_ragged = codec.encode(wave_BS), codec.encode(wave_BS, lengths_B)
    scale = whole.latents_BTC.square().mean().sqrt()
    torch.testing.assert_close(
        pieces.latents_BTC, whole.latents_BTC, atol=1e-4 * scale.item(), rtol=0
    )
    assert torch.equal(pieces.codes_BTQ, whole.codes_BTQ)
    frames = -(-(S // 3) // 30)
    assert torch.equal(pieces_ragged.codes_BTQ[1, :frames], whole_ragged.codes_BTQ[1, :frames])
    torch.testing.assert_close(codec.decode(whole.codes_BTQ), decoded, atol=1e-4, rtol=1e-3)


def test_leading_codebooks_are_those_of_the_whole_and_decode_alone(codec, reference):
    wave_BS = torch.randn(1, 600)
    codes_BTQ = codec.encode(wave_BS).codes_BTQ
    for count in (1, 2, 3):
        assert torch.equal(
            codec.encode(wave_BS, num_codebooks=count).codes_BTQ, codes_BTQ[..., :count]
        )
        with torch.no_grad():
            latent = reference.quantizer(reference.encoder(wave_BS[:, None]), count)[0]
            want = reference.decoder(latent)[:, 0]
        got = codec.decode(codes_BTQ[..., :count])[:, : want.shape[-1]]
        torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-3)


def test_eight_channels_are_eight_rows(codec):
    wave_BS = torch.randn(8, 500)
    codes_BTQ = codec.encode(wave_BS).codes_BTQ
    for channel in range(8):
        assert torch.equal(
            codes_BTQ[channel], codec.encode(wave_BS[channel : channel + 1]).codes_BTQ[0]
        )


def test_audio_without_samples_is_refused(codec):
    with pytest.raises(AioError, match="zero samples"):
        codec.encode(torch.zeros(1, 0))


def test_the_sum_of_chosen_embeddings_is_the_quantized_latent(codec):
    codes_BTQ = torch.randint(11, (2, 7, 3))
    embedding_QVC = codec.codebook_embeddings()
    latent_BTC = sum(embedding_QVC[q][codes_BTQ[..., q]] for q in range(3))
    want = codec.model.quantizer.from_codes(codes_BTQ.transpose(1, 2))[0].transpose(1, 2)
    torch.testing.assert_close(latent_BTC, want, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        codec.decode_latents(latent_BTC), codec.decode(codes_BTQ), atol=1e-4, rtol=1e-4
    )


def test_soft_decoding_of_certain_posteriors_is_decoding_their_codes(codec):
    codes_BTQ = torch.randint(11, (1, 9, 3))
    posterior = F.one_hot(codes_BTQ, 11).float()
    latent = torch.einsum("btqv,qvc->btc", posterior, codec.codebook_embeddings())
    torch.testing.assert_close(
        codec.decode_latents(latent), codec.decode(codes_BTQ), atol=1e-4, rtol=1e-4
    )


def test_silence_has_one_code_per_codebook(codec):
    assert torch.equal(codec.silence_codes(), codec.encode(torch.zeros(1, 3000)).codes_BTQ[0, 50])


def test_silence_is_coded_as_it_sounds_away_from_the_edges():
    torch.manual_seed(0)
    model = build_dac(CONFIG)
    for layer in model.encoder.modules():
        # At zero, as they start, biases make nothing of silence, and its edges are not heard.
        if isinstance(layer, torch.nn.Conv1d):
            torch.nn.init.normal_(layer.bias)
    biased = Dac(model, "biased", weights_sha256="0")
    codes_TQ = biased.encode(torch.zeros(1, 3000)).codes_BTQ[0]
    assert not torch.equal(codes_TQ[50], codes_TQ[-1])
    assert torch.equal(biased.silence_codes(), codes_TQ[50])


def test_quantizing_latents_gives_their_codes(codec):
    encoded = codec.encode(torch.randn(2, 777))
    assert torch.equal(codec.quantize(encoded.latents_BTC), encoded.codes_BTQ)
    assert torch.equal(codec.quantize(encoded.latents_BTC, 2), encoded.codes_BTQ[..., :2])


def test_the_fingerprint_has_the_sizes_of_the_network(codec, folder):
    digest = hashlib.sha256((folder / "codec.safetensors").read_bytes()).hexdigest()
    want = CodecFingerprint("dac-trained-here", digest, 16000, 30, 3, 11, 8)
    assert codec.fingerprint == want
    assert (codec.sample_rate, codec.hop) == (16000, 30)


def test_the_fingerprint_changes_with_the_weights(codec, tmp_path):
    torch.manual_seed(1)
    save_dac(tmp_path, build_dac(CONFIG), CONFIG)
    with pytest.raises(AioError, match="weights_sha256"):
        check_same(codec.fingerprint, Dac.load(tmp_path).fingerprint, "codes")
