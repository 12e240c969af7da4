"""One step of stage 3: what it logs and draws."""

import dataclasses
import time
from types import SimpleNamespace

import pytest
import torch
from tiny import RATE, tiny_batch, tiny_ssl
from tiny_training import recorded, ssl_module, train_on

from aio_toolkit.models.batch import Batch
from aio_toolkit.training.draws import seed_step
from aio_toolkit.training.pretrain import PretrainModule

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
    loss = module.model(batch.wave_BS, batch.samples_B, batch.codes_BTQ)
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
    module.trainer = SimpleNamespace(accumulate_grad_batches=1)
    figures, clock = recorded(module), iter([100.0, 100.25])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    module.on_train_batch_start(batch, 0)
    module.on_train_batch_end({}, batch, 0)
    # Padding is not heard.
    wanted = batch.samples_B.sum().item() / RATE / 0.25
    assert figures["train/audio_seconds_per_second"] == pytest.approx(wanted)


def test_a_collapse_is_watched_for_in_training_alone(monkeypatch):
    module, seen = ssl_module(tiny_ssl()), []
    monkeypatch.setattr(module.monitor, "watch", lambda step, figures: seen.append(figures))
    recorded(module)
    module.validation_step(tiny_batch(), 0)
    assert seen == []
    module.training_step(tiny_batch(), 0)
    assert "embedding_std" in seen[0]
