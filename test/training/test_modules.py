"""One step of stages 3 and 4: the loss in closed form, what is logged, what randomness it takes."""

import math
import time

import pytest
import torch
from tiny import (
    FRAME_RATE,
    batch_of,
    random_examples,
    randomise_gates,
    routing_table,
    tiny_batch,
    tiny_model,
    tiny_ssl,
)
from tiny_training import StubModel, aio_module, recorded, ssl_module, train_on

from aio_toolkit.errors import AioError
from aio_toolkit.moe.balance import BalanceConfig, mutual_information
from aio_toolkit.moe.layer import MoEConfig
from aio_toolkit.moe.router import RouterConfig

pytestmark = [
    pytest.mark.filterwarnings("ignore:You defined a `validation_step`"),
    pytest.mark.filterwarnings("ignore:Found .* in eval mode"),
]

LOSSES = {"asr": 2.0, "sep": 3.0}
# Each task has experts of its own, or both share two of four; a squared log-sum-exp of 1/4 a token.
APART = routing_table([[50.0, 50.0, 0.0, 0.0], [0.0, 0.0, 50.0, 50.0]], square=25.0)
TOGETHER = routing_table([[50.0, 50.0, 0.0, 0.0], [50.0, 50.0, 0.0, 0.0]], square=25.0)


def stub(task_weights=None, **balance):
    model = StubModel(LOSSES, {"block0": APART, "block1": TOGETHER})
    return aio_module(model, BalanceConfig(**balance), task_weights)


@pytest.mark.parametrize(
    ("kind", "balance"),
    [
        # I(task; expert) is ln 2 and 0.
        ("mutual_information", -math.log(2)),
        # Even use costs nothing; half of the experts idle is a squared variation of 1, twice.
        ("importance_load", 0 + 2),
        # E sum f P is 4 * 4 / 16 and 4 * 2 / 4, the z-loss 1/4 in each layer.
        ("switch", 1 + 2 + 0.1 * (1 / 4 + 1 / 4)),
        ("bias", 0.0),
        ("none", 0.0),
    ],
)
def test_the_loss_is_that_of_weighted_tasks_plus_the_weighted_balance_of_every_layer(kind, balance):
    module = stub({"asr": 4.0}, kind=kind, weight=0.5, z_weight=0.1)
    figures = recorded(module)
    total = module.training_step(tiny_batch(), 0)
    assert total.item() == pytest.approx(4.0 * 2 + 1.0 * 3 + 0.5 * balance)
    assert figures["train/loss"] == pytest.approx(total.item())


def test_gradients_of_task_losses_are_their_weights():
    module = stub({"asr": 4.0})
    recorded(module)
    module.training_step(tiny_batch(), 0).backward()
    assert module.model.losses["asr"].grad == 4.0
    assert module.model.losses["sep"].grad == 1.0


def test_validation_weighs_tasks_alike_and_adds_no_balance():
    module = stub({"sep": 0.5}, weight=100.0)
    figures = recorded(module)
    module.validation_step(tiny_batch(), 0)
    assert figures["val/loss"] == pytest.approx(2 + 0.5 * 3)


def test_validation_is_not_counted_as_routing_of_the_step():
    module = stub()
    recorded(module)
    module.validation_step(tiny_batch(), 0)
    assert module.pool.finish_step() == {}


@pytest.mark.parametrize("split", ["train", "val"])
def test_each_task_is_logged_under_its_name_and_unweighted(split):
    module = stub({"asr": 4.0})
    figures = recorded(module)
    step = module.training_step if split == "train" else module.validation_step
    step(tiny_batch(), 0)
    of_tasks = {name: value for name, value in figures.items() if name != f"{split}/loss"}
    assert of_tasks == {
        f"{split}/asr/loss": 2,
        f"{split}/asr/figure": 3,
        f"{split}/sep/loss": 3,
        f"{split}/sep/figure": 4,
    }


def test_a_loss_that_is_not_a_number_names_its_task_and_its_utterances():
    module = stub()
    recorded(module)
    module.model.losses["sep"].data.fill_(float("nan"))
    message = r"loss of task sep is nan at step 0 \(batch with asr-0, asr-1"
    with pytest.raises(AioError, match=message):
        module.training_step(tiny_batch(), 0)


def quiet_experts() -> MoEConfig:
    """Experts without noise, so that two passes route alike."""
    return MoEConfig(num_experts=4, top_k=2, expert_hidden=16, router=RouterConfig(noise=0.0))


def test_the_gradient_of_the_balance_reaches_the_gates(vocabulary):
    model = tiny_model(vocabulary, quiet_experts()).train()
    randomise_gates(model)
    module = aio_module(model, BalanceConfig(weight=0.5), {"asr": 0.0, "sep": 0.0})
    recorded(module)
    module.training_step(tiny_batch(), 0).backward()
    gates = list(model.backbone.moe_layers()["block1.feed_forward"].router.parameters())
    table = model(tiny_batch()).tables["block1.feed_forward"]
    wanted = torch.autograd.grad(-0.5 * mutual_information(table), gates)
    for gate, gradient in zip(gates, wanted, strict=True):
        assert gradient.abs().max() > 1e-4
        torch.testing.assert_close(gate.grad, gradient)


def constant_draws(*size, **options) -> torch.Tensor:
    """In the place of `torch.rand`."""
    return torch.empty(*size).fill_(0.25)


@pytest.mark.parametrize("parts", [2, 3])
def test_micro_batches_accumulate_to_the_gradient_of_the_whole_step(vocabulary, monkeypatch, parts):
    """Without a balance loss; micro-batches with as many frames and tokens as each other."""
    monkeypatch.setattr(torch, "rand", constant_draws)
    examples = random_examples({"asr": [20, 13] * parts, "sep": [17] * parts})
    text, audio = examples[: 2 * parts], examples[2 * parts :]
    micro = [batch_of([*text[2 * i : 2 * i + 2], audio[i]]) for i in range(parts)]
    found = []
    for batches in ([batch_of(examples)], micro):
        model = tiny_model(vocabulary, quiet_experts())
        randomise_gates(model)
        module = aio_module(model, BalanceConfig("none"), {"asr": 4.0})
        keeper = train_on(module, batches, max_steps=1, accumulate_grad_batches=len(batches))
        assert len(keeper.steps) == 1
        found.append(keeper.steps[0])
    whole, accumulated = found
    trained = {name for name, p in module.named_parameters() if p.requires_grad}
    assert whole.keys() == accumulated.keys() == trained
    for name, gradient in whole.items():
        torch.testing.assert_close(accumulated[name], gradient, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_bias_moves_towards_even_use_once_an_optimiser_step(accumulate):
    module = stub(kind="bias", bias_rate=0.125)
    train_on(module, [tiny_batch()] * 6, max_steps=2, accumulate_grad_batches=accumulate)
    assert module.layers["block0"].router.bias_E.tolist() == [0.0] * 4
    assert module.layers["block1"].router.bias_E.tolist() == [-0.25, -0.25, 0.25, 0.25]


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_routing_of_every_optimiser_step_is_counted_on_its_own(accumulate):
    module = stub()
    train_on(module, [tiny_batch()] * 6, max_steps=2, accumulate_grad_batches=accumulate)
    assert module.pool.step == {}
    assert module.pool.previous["block0"].tokens_G.tolist() == [100 * accumulate] * 2


@pytest.mark.parametrize("kind", ["mutual_information", "importance_load", "switch", "none"])
def test_no_other_balance_moves_the_bias(kind):
    module = stub(kind=kind, bias_rate=0.125)
    train_on(module, [tiny_batch()], max_steps=1)
    assert all(not layer.router.bias_E.any() for layer in module.layers.values())


def test_routing_is_logged_of_finished_steps_alone():
    module = stub()
    figures = recorded(module)
    module.training_step(tiny_batch(), 0)
    module.on_train_batch_end({}, tiny_batch(), 0)
    assert not any(name.startswith("moe/") for name in figures)
    module.finished = module.pool.finish_step()
    module.on_train_batch_end({}, tiny_batch(), 0)
    assert figures["moe/block0/mutual_information"] == pytest.approx(math.log(2))
    assert figures["moe/block1/mutual_information"] == pytest.approx(0, abs=1e-6)


def test_a_restart_finds_the_routing_of_the_last_step_in_the_checkpoint():
    module, checkpoint = stub(), {}
    recorded(module)
    module.training_step(tiny_batch(), 0)
    module.pool.finish_step()
    module.on_save_checkpoint(checkpoint)
    restarted = stub()
    restarted.on_load_checkpoint(checkpoint)
    assert torch.equal(restarted.pool.previous["block0"].count_GE, APART.count_GE)
    assert torch.equal(restarted.pool.previous["block1"].probability_GE, TOGETHER.probability_GE)


def validated(module, index: int = 0) -> float:
    figures = recorded(module)
    module.validation_step(tiny_batch(), index)
    return figures["val/loss"]


def test_a_validation_of_stage_3_hides_the_same_frames_as_the_one_before():
    module = ssl_module(tiny_ssl())
    first = validated(module)
    torch.rand(1)  # training goes on
    assert validated(module) == first
    assert validated(module, index=1) != first


def test_a_validation_of_stage_3_leaves_the_draws_of_training_alone():
    module = ssl_module(tiny_ssl())
    torch.manual_seed(5)
    undisturbed = torch.rand(3)
    torch.manual_seed(5)
    validated(module)
    assert torch.equal(torch.rand(3), undisturbed)


def test_training_of_stage_3_hides_other_frames_at_every_step():
    module = ssl_module(tiny_ssl())
    recorded(module)
    first, second = (module.training_step(tiny_batch(), 0).item() for _ in range(2))
    assert first != second


def test_the_loss_of_stage_3_is_the_model_s():
    module = ssl_module(tiny_ssl())
    figures, batch = recorded(module), tiny_batch()
    torch.manual_seed(6)
    total = module.training_step(batch, 0)
    torch.manual_seed(6)
    loss, of_objective = module.model(batch.feats_BTF, batch.lengths_B, batch.codes_BTQ)
    assert total == loss
    assert figures.pop("train/loss") == loss.item()
    assert figures == {f"train/{name}": value.item() for name, value in of_objective.items()}


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_teacher_follows_once_an_optimiser_step_and_after_it(accumulate):
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
