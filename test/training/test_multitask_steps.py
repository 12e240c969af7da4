"""One step of stage 4: its loss in closed form, and what is logged of it."""

import math

import pytest
import torch
from tiny import (
    batch_of,
    random_examples,
    randomise_gates,
    router,
    routing_table,
    tiny_batch,
    tiny_model,
    tiny_moe,
)
from tiny_training import StubModel, aio_module, balance, recorded, train_on

from aio_toolkit.errors import AioError
from aio_toolkit.moe.balances.mutual_information import mutual_information
from aio_toolkit.moe.mixture import MoE
from aio_toolkit.training.draws import seed_step
from aio_toolkit.training.multitask import MultitaskModule

pytestmark = [
    pytest.mark.filterwarnings("ignore:You defined a `validation_step`"),
    pytest.mark.filterwarnings("ignore:Found .* in eval mode"),
]

LOSSES = {"asr": 2.0, "sep": 3.0}
# Each task has experts of its own, or both share two of four; a squared log-sum-exp of 1/4 a token.
APART = routing_table([[50.0, 50.0, 0.0, 0.0], [0.0, 0.0, 50.0, 50.0]], square=25.0)
TOGETHER = routing_table([[50.0, 50.0, 0.0, 0.0], [50.0, 50.0, 0.0, 0.0]], square=25.0)


def stub(
    task_weights: dict[str, float] | None = None, kind: str = "mutual_information", **options
) -> MultitaskModule:
    model = StubModel(LOSSES, {"block0": APART, "block1": TOGETHER}, balance(kind, **options))
    return aio_module(model, task_weights)


@pytest.mark.parametrize(
    ("kind", "options", "cost"),
    [
        # I(task; expert) is ln 2 and 0.
        ("mutual_information", {}, -math.log(2)),
        # Even use costs nothing; half of the experts idle is a squared variation of 1, twice.
        ("importance_load", {}, 0 + 2),
        # E sum f P is 4 * 4 / 16 and 4 * 2 / 4, the z-loss 1/4 in each layer.
        ("switch", {"z_weight": 0.1}, 1 + 2 + 0.1 * (1 / 4 + 1 / 4)),
        ("bias", {}, 0.0),
        ("none", {}, 0.0),
    ],
)
def test_the_loss_is_that_of_weighted_tasks_plus_the_weighted_balance_of_every_layer(
    kind, options, cost
):
    module = stub({"asr": 4.0}, kind, weight=0.5, **options)
    figures = recorded(module)
    total = module.training_step(tiny_batch(), 0)
    assert total.item() == pytest.approx(4.0 * 2 + 1.0 * 3 + 0.5 * cost)
    assert figures["train/loss"] == pytest.approx(total.item())
    # Logged without its weight, so that runs with different weights can be compared.
    assert figures["train/balance"] == pytest.approx(cost, abs=1e-6)


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
    common = (f"{split}/loss", f"{split}/balance")
    of_tasks = {name: value for name, value in figures.items() if name not in common}
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
    module.on_train_batch_start(tiny_batch(), 0)
    message = r"loss of task sep is nan at step 0 \(batch with asr-0, asr-1"
    with pytest.raises(AioError, match=message):
        module.training_step(tiny_batch(), 0)


def quiet_experts(**sections) -> MoE.Config:
    """Experts without noise, so that two passes route alike."""
    return tiny_moe(router=router("per_task", noise=0.0), **sections)


def test_the_gradient_of_the_balance_reaches_the_gates(vocabulary):
    moe = quiet_experts(balance=balance("mutual_information", weight=0.5))
    model = tiny_model(vocabulary, moe).train()
    randomise_gates(model)
    module = aio_module(model, {"asr": 0.0, "sep": 0.0})
    recorded(module)
    module.training_step(tiny_batch(), 0).backward()
    gates = list(model.backbone.moe_layers()["block1.feed_forward"].router.parameters())
    table = model(tiny_batch()).tables["block1.feed_forward"]
    wanted = torch.autograd.grad(-0.5 * mutual_information(table), gates)
    for gate, gradient in zip(gates, wanted, strict=True):
        assert gradient.abs().max() > 1e-4
        torch.testing.assert_close(gate.grad, gradient)


def test_the_gradient_that_each_task_sends_to_the_backbone_is_logged(vocabulary):
    model = tiny_model(vocabulary, quiet_experts()).train()
    randomise_gates(model)
    module, batch = aio_module(model, {"asr": 4.0}), tiny_batch()
    figures = recorded(module)
    module.training_step(batch, 0).backward()
    module.on_train_batch_end({}, batch, 0)

    seed_step(module.seed, batch.number)  # of the class path's context
    output = model(batch)
    for task, weight in (("asr", 4.0), ("sep", 1.0)):
        total, h_BTD = output.losses[task].total, output.frames[task].h_BTD
        (gradient_BTD,) = torch.autograd.grad(weight * total, h_BTD, retain_graph=True)
        want = gradient_BTD.square().sum().sqrt().item()
        assert want > 1e-3
        assert figures[f"grad_norm/{task}"] == pytest.approx(want, rel=1e-5)


def test_gradients_of_tasks_that_a_batch_lacks_are_not_logged(vocabulary):
    module = aio_module(tiny_model(vocabulary).train())
    batch = batch_of(random_examples({"sep": [17, 20]}))
    figures = recorded(module)
    module.training_step(batch, 0).backward()
    module.on_train_batch_end({}, batch, 0)
    norms = {name for name in figures if name.startswith("grad_norm/")}
    assert norms == {"grad_norm/sep"}


def test_a_batch_that_ends_has_its_gradients_logged_once(vocabulary):
    module, batch = aio_module(tiny_model(vocabulary).train()), tiny_batch()
    recorded(module)
    module.training_step(batch, 0).backward()
    module.on_train_batch_end({}, batch, 0)
    again = recorded(module)
    module.on_train_batch_end({}, batch, 0)
    assert again == {}


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
        model = tiny_model(vocabulary, quiet_experts(balance=balance("none")))
        randomise_gates(model)
        module = aio_module(model, {"asr": 4.0})
        keeper = train_on(module, batches, max_steps=1, accumulate_grad_batches=len(batches))
        assert len(keeper.steps) == 1
        found.append(keeper.steps[0])
    whole, accumulated = found
    trained = {name for name, p in module.named_parameters() if p.requires_grad}
    assert whole.keys() == accumulated.keys() == trained
    for name, gradient in whole.items():
        torch.testing.assert_close(accumulated[name], gradient, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_bias_moves_towards_even_use_once_an_optimizer_step(accumulate):
    module = stub(kind="bias", rate=0.125)
    train_on(module, [tiny_batch()] * 6, max_steps=2, accumulate_grad_batches=accumulate)
    assert module.layers["block0"].router.bias_E.tolist() == [0.0] * 4
    assert module.layers["block1"].router.bias_E.tolist() == [-0.25, -0.25, 0.25, 0.25]


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_routing_of_every_optimizer_step_is_counted_on_its_own(accumulate):
    module = stub()
    train_on(module, [tiny_batch()] * 6, max_steps=2, accumulate_grad_batches=accumulate)
    assert module.pool.step == {}
    assert module.pool.previous["block0"].tokens_G.tolist() == [100 * accumulate] * 2


@pytest.mark.parametrize("kind", ["mutual_information", "importance_load", "switch", "none"])
def test_no_other_balance_moves_the_bias(kind):
    module = stub(kind=kind)
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
