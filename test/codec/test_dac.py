"""The codec wrapper against the `dac` package's own model."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from aio_toolkit.codec.base import check_fingerprint
from aio_toolkit.codec.dac import DacCodec, DacConfig, build_dac, save_dac
from aio_toolkit.codec.initialise import fit_quantizer, kmeans, normalise_latents, scale_weights
from aio_toolkit.errors import AioError

# Odd strides: the package's decoder then returns fewer samples than hop times frames.
CONFIG = DacConfig(16000, 4, [5, 3, 2], 8, 16, [2, 3, 5], 3, 11, 4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    directory = tmp_path_factory.mktemp("codec")
    save_dac(directory, build_dac(CONFIG), CONFIG)
    return directory


@pytest.fixture(scope="module")
def codec(folder):
    return DacCodec.load(folder)


@pytest.fixture(scope="module")
def reference(folder):
    from safetensors.torch import load_file

    model = build_dac(CONFIG).eval()
    model.load_state_dict(load_file(folder / "codec.safetensors"))
    return model


@pytest.mark.parametrize("S", [1, 29, 30, 31, 777, 4800])
def test_codes_equal_the_packages_own_of_the_same_padded_audio(codec, reference, S):
    wave_BS = torch.randn(2, S)
    encoded = codec.encode(wave_BS)
    with torch.no_grad():
        padded = reference.preprocess(wave_BS[:, None], 16000)
        codes_BQT = reference.encode(padded)[1]
    assert encoded.codes_BTQ.shape == (2, -(-S // 30), 3)
    assert torch.equal(encoded.codes_BTQ, codes_BQT.transpose(1, 2))
    torch.testing.assert_close(encoded.latents_BTC, reference.encoder(padded).transpose(1, 2), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("T", [1, 2, 40])
def test_decoding_equals_the_packages_own_but_for_the_exact_length(codec, reference, T):
    codes_BTQ = torch.randint(11, (2, T, 3))
    with torch.no_grad():
        want = reference.decode(reference.quantizer.from_codes(codes_BTQ.transpose(1, 2))[0])[:, 0]
    got = codec.decode(codes_BTQ)
    assert got.shape == (2, T * 30)
    assert want.shape[-1] != T * 30
    shared = min(want.shape[-1], T * 30)
    torch.testing.assert_close(got[:, :shared], want[:, :shared], atol=1e-5, rtol=1e-4)


def test_the_sum_of_chosen_embeddings_is_the_quantised_latent(codec):
    codes_BTQ = torch.randint(11, (2, 7, 3))
    embedding_QVC = codec.codebook_embeddings()
    latent_BTC = sum(embedding_QVC[q][codes_BTQ[..., q]] for q in range(3))
    want = codec.model.quantizer.from_codes(codes_BTQ.transpose(1, 2))[0].transpose(1, 2)
    torch.testing.assert_close(latent_BTC, want, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(codec.decode_latents(latent_BTC), codec.decode(codes_BTQ), atol=1e-4, rtol=1e-4)


def test_soft_decoding_of_certain_posteriors_is_decoding_their_codes(codec):
    codes_BTQ = torch.randint(11, (1, 9, 3))
    posterior = F.one_hot(codes_BTQ, 11).float()
    latent = torch.einsum("btqv,qvc->btc", posterior, codec.codebook_embeddings())
    torch.testing.assert_close(codec.decode_latents(latent), codec.decode(codes_BTQ), atol=1e-4, rtol=1e-4)


def test_silence_has_one_code_per_codebook(codec):
    assert torch.equal(codec.silence_codes(), codec.encode(torch.zeros(1, 3000)).codes_BTQ[0, 50])


def test_the_fingerprint_changes_with_the_weights(codec, tmp_path):
    torch.manual_seed(1)
    save_dac(tmp_path, build_dac(CONFIG), CONFIG)
    other = DacCodec.load(tmp_path)
    check_fingerprint(codec.fingerprint, dict(codec.fingerprint), "codes")
    with pytest.raises(AioError, match="weights_sha256"):
        check_fingerprint(codec.fingerprint, other.fingerprint, "codes")


def test_weights_of_another_architecture_are_refused(folder, tmp_path):
    (tmp_path / "codec.safetensors").write_bytes((folder / "codec.safetensors").read_bytes())
    from aio_toolkit.config import save_config

    save_config(dataclasses.replace(CONFIG, latent_dim=12), tmp_path / "architecture.yaml")
    with pytest.raises(AioError, match="does not fit"):
        DacCodec.load(tmp_path)


def test_a_missing_codec_says_how_to_get_one(tmp_path):
    with pytest.raises(AioError, match="dac-16khz"):
        DacCodec.load(tmp_path / "nowhere")
    with pytest.raises(AioError, match="do not exist"):
        DacCodec.load(str(tmp_path / "weights.pth"))


def test_kmeans_finds_clusters_that_are_far_apart():
    torch.manual_seed(0)
    centres = torch.tensor([[0.0, 0], [50, 0], [0, 50], [50, 50]])
    points = (centres[:, None] + torch.randn(4, 200, 2)).flatten(0, 1)
    found = kmeans(points, 8)
    assert (torch.cdist(centres, found).min(1).values < 5).all()


def test_normalising_latents_leaves_the_wave_as_it_is():
    torch.manual_seed(0)
    model = build_dac(CONFIG).eval()
    scale_weights(model)
    model.encoder.block[-1].weight_g.data.mul_(7)
    wave_B1S = torch.randn(2, 1, 600)
    with torch.no_grad():
        latents_BCT = model.encoder(wave_B1S)
        before = model.decoder(latents_BCT)
        scaled_NC = normalise_latents(model, latents_BCT.transpose(1, 2).flatten(0, 1))
        after_BCT = model.encoder(wave_B1S)
        torch.testing.assert_close(model.decoder(after_BCT), before, atol=1e-3, rtol=1e-3)
    assert scaled_NC.std().item() == pytest.approx(1.0, abs=1e-5)
    torch.testing.assert_close(after_BCT.transpose(1, 2).flatten(0, 1), scaled_NC, atol=1e-5, rtol=1e-4)


def test_a_fitted_quantizer_explains_more_with_every_codebook():
    torch.manual_seed(0)
    model = build_dac(CONFIG).eval()
    latents_NC = torch.randn(500, 8) @ torch.randn(8, 8)
    fit_quantizer(model.quantizer, latents_NC)
    left = []
    for count in range(1, 4):
        quantised = model.quantizer(latents_NC.T[None], n_quantizers=count)[0][0].T
        left.append((latents_NC - quantised).square().mean().item())
    assert left[0] < latents_NC.square().mean().item()
    assert left[2] < left[1] < left[0]


def test_a_fitted_quantizer_chooses_the_nearest_code_and_not_only_its_direction():
    torch.manual_seed(0)
    model = build_dac(CONFIG).eval()
    latents_NC = torch.randn(500, 8) * torch.rand(500, 1) * 4
    fit_quantizer(model.quantizer, latents_NC)
    stage = model.quantizer.quantizers[0]
    with torch.no_grad():
        projected_NK = stage.in_proj(latents_NC.T[None])[0].T
        chosen_N = stage(latents_NC.T[None])[3][0]
    distance_NV = torch.cdist(projected_NK, stage.codebook.weight)
    chosen_distance_N = distance_NV.gather(1, chosen_N[:, None])[:, 0]
    # The constant coordinate makes this exact only in the limit.
    assert chosen_distance_N.mean() < 1.05 * distance_NV.min(1).values.mean()
