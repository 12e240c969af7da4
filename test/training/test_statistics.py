"""What the encoder is told of its features."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny import NUM_FEATURES, tiny_ssl

from aio_toolkit.training.pretrain import set_feature_statistics


def utterances(lengths: list[int]) -> list[np.ndarray]:
    """Features (T, F) of utterances, each bin with a mean and a deviation of its own."""
    rng = np.random.default_rng(0)
    scale_F, mean_F = np.arange(1, NUM_FEATURES + 1), np.arange(NUM_FEATURES) - 3.5
    frames = (rng.standard_normal((length, NUM_FEATURES)) for length in lengths)
    return [(frames_TF * scale_F + mean_F).astype(np.float32) for frames_TF in frames]


def statistics(feats: list[np.ndarray], **options) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation (F,) that the encoder ends up with."""
    model = tiny_ssl()
    dataset = [SimpleNamespace(feats_TF=feats_TF) for feats_TF in feats]
    set_feature_statistics(model, dataset, **options)
    encoder = model.ssl_encoder
    return encoder.mean_F.numpy(), encoder.std_F.numpy()


def test_each_bin_has_the_mean_and_deviation_of_all_frames():
    feats = utterances([31, 7, 18])
    mean_F, std_F = statistics(feats)
    frames_NF = np.concatenate(feats)
    np.testing.assert_allclose(mean_F, frames_NF.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(std_F, frames_NF.std(0, ddof=1), rtol=1e-4)


def test_latents_are_scaled_and_other_bins_are_not():
    feats = utterances([31, 7, 18])
    mean_F, std_F = statistics(feats, latents=5, latent_scale=0.25)
    normalised_NF = (np.concatenate(feats) - mean_F) / std_F
    wanted = [1.0] * (NUM_FEATURES - 5) + [0.25] * 5
    np.testing.assert_allclose(normalised_NF.std(0, ddof=1), wanted, rtol=1e-4)
    np.testing.assert_allclose(normalised_NF.mean(0), np.zeros(NUM_FEATURES), atol=1e-4)


def test_a_bin_that_hardly_moves_is_not_blown_up():
    feats = utterances([31, 7])
    for feats_TF in feats:
        feats_TF[:, 2] = 4.0
    mean_F, std_F = statistics(feats)
    assert mean_F[2] == pytest.approx(4.0)
    assert std_F[2] == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("most", "read"),
    [(7, [0, 1, 2, 3, 4, 5, 6]), (3, [0, 2, 4, 6]), (2, [0, 3, 6]), (100, [0, 1, 2, 3, 4, 5, 6])],
)
def test_of_many_utterances_evenly_spaced_ones_are_read(most, read):
    feats = utterances([9, 4, 8, 5, 7, 6, 11])
    mean_F, _ = statistics(feats, utterances=most)
    frames_NF = np.concatenate([feats[index] for index in read])
    np.testing.assert_allclose(mean_F, frames_NF.mean(0), rtol=1e-4, atol=1e-5)


def test_normalised_features_are_those_less_the_mean_over_the_deviation():
    encoder = tiny_ssl().ssl_encoder
    encoder.mean_F.copy_(torch.arange(NUM_FEATURES))
    encoder.std_F.copy_(torch.arange(1, NUM_FEATURES + 1) / 2)
    feats_BTF = torch.randn(2, 3, NUM_FEATURES)
    normalised_BTF = encoder.normalise(feats_BTF)
    for f in range(NUM_FEATURES):
        wanted_BT = (feats_BTF[..., f] - f) / ((f + 1) / 2)
        torch.testing.assert_close(normalised_BTF[..., f], wanted_BT)
