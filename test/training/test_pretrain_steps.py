"""One step of stage 3, what it logs and draws, and the statistics of its features."""

import dataclasses
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny import FRAME_RATE, NUM_FEATURES, tiny_batch, tiny_ssl
from tiny_training import recorded, ssl_module, train_on

from aio_toolkit.models.batch import Batch
from aio_toolkit.training import pretrain as stage
from aio_toolkit.training.draws import seed_step
from aio_toolkit.training.pretrain import PretrainModule, feature_statistics

pytestmark = [
    pytest.mark.filterwarnings("ignore:You defined a `validation_step`"),
    pytest.mark.filterwarnings("ignore:Found .* in eval mode"),
]

# --- steps ---


def numbered(number: int) -> Batch:
    """The same examples, as the batch of that number."""
    return dataclasses.replace(tiny_batch(), number=number)


def validated(module: PretrainModule, number: int = 0) -> float:
    figures = recorded(module)
    module.validation_step(numbered(number), 0)
    return figures["val/loss"]


def test_a_validation_masks_the_same_frames_as_the_one_before():
    module = ssl_module(tiny_ssl())
    first = validated(module)
    torch.rand(1)  # training goes on
    assert validated(module) == first
    assert validated(module, number=1) != first


def test_a_validation_leaves_the_draws_of_training_alone():
    module = ssl_module(tiny_ssl())
    torch.manual_seed(5)
    undisturbed = torch.rand(3)
    torch.manual_seed(5)
    validated(module)
    assert torch.equal(torch.rand(3), undisturbed)


def test_training_masks_other_frames_at_every_step():
    module = ssl_module(tiny_ssl())
    recorded(module)
    first, second = (module.training_step(numbered(n), 0).item() for n in range(2))
    assert first != second


def test_the_loss_of_a_step_is_the_model_s():
    module = ssl_module(tiny_ssl())
    figures, batch = recorded(module), numbered(6)
    total = module.training_step(batch, 0)
    seed_step(module.seed, 6)
    loss = module.model(batch.feats_BTF, batch.lengths_B, batch.codes_BTQ)
    assert total == loss.total
    assert figures.pop("train/loss") == loss.total.item()
    assert figures == {f"train/{name}": value.item() for name, value in loss.figures.items()}


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_teacher_follows_once_an_optimizer_step_and_after_it(accumulate):
    module, seen = ssl_module(tiny_ssl()), []
    start = module.model.ssl_encoder.stem.linear.weight.clone()
    weight = module.model.ssl_encoder.stem.linear.weight
    module.model.objective.after_step = lambda encoder: seen.append(weight.clone())
    train_on(module, [tiny_batch()] * 6, max_steps=2, accumulate_grad_batches=accumulate)
    assert len(seen) == 2
    assert not torch.equal(seen[0], start)
    assert torch.equal(seen[1], weight)


def test_speed_is_audio_over_time(monkeypatch):
    module, batch = ssl_module(tiny_ssl()), tiny_batch()
    figures, clock = recorded(module), iter([100.0, 100.25])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    module.on_train_batch_start(batch, 0)
    module.on_train_batch_end({}, batch, 0)
    wanted = (20 + 13 + 17 + 20) / FRAME_RATE / 0.25
    assert figures["train/audio_seconds_per_second"] == pytest.approx(wanted)


def test_a_collapse_is_watched_for_in_training_alone(monkeypatch):
    module, seen = ssl_module(tiny_ssl()), []
    monkeypatch.setattr(module.monitor, "watch", lambda step, figures: seen.append(figures))
    recorded(module)
    module.validation_step(tiny_batch(), 0)
    assert seen == []
    module.training_step(tiny_batch(), 0)
    assert "embedding_std" in seen[0]


# --- statistics ---


def utterances(lengths: list[int]) -> list[np.ndarray]:
    """Features (T, F) of utterances, each bin with a mean and a deviation of its own."""
    rng = np.random.default_rng(0)
    scale_F, mean_F = np.arange(1, NUM_FEATURES + 1), np.arange(NUM_FEATURES) - 3.5
    frames = (rng.standard_normal((length, NUM_FEATURES)) for length in lengths)
    return [(frames_TF * scale_F + mean_F).astype(np.float32) for frames_TF in frames]


def statistics(feats: list[np.ndarray], **options) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation (F,) of a dataset with these features."""
    by_id = {f"asr-{n}": feats_TF for n, feats_TF in enumerate(feats)}
    dataset = SimpleNamespace(utterances=[SimpleNamespace(id=id) for id in by_id], feats=by_id)
    mean_F, std_F = feature_statistics(dataset, **options)
    return mean_F.numpy(), std_F.numpy()


def test_each_bin_has_the_mean_and_deviation_of_all_frames():
    feats = utterances([31, 7, 18])
    mean_F, std_F = statistics(feats)
    frames_NF = np.concatenate(feats)
    np.testing.assert_allclose(mean_F, frames_NF.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(std_F, frames_NF.std(0, ddof=1), rtol=1e-4)


def test_latents_are_scaled_and_other_bins_are_not():
    feats = utterances([31, 7, 18])
    mean_F, std_F = statistics(feats, num_latents=5, latent_scale=0.25)
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
def test_of_many_utterances_evenly_spaced_ones_are_read(monkeypatch, most, read):
    monkeypatch.setattr(stage, "STATISTICS_UTTERANCES", most)
    feats = utterances([9, 4, 8, 5, 7, 6, 11])
    mean_F, _ = statistics(feats)
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
