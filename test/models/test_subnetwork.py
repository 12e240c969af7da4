"""Sub-networks: the same answers with the experts that a task visits, and with nothing else."""

import pytest
import torch
from tiny import (
    TASKS,
    batch_of,
    random_examples,
    save_tiny,
    tiny_batch,
    tiny_config,
    tiny_model,
    with_attention_experts,
)

from aio_toolkit.errors import AioError
from aio_toolkit.models.checkpoint import load_aio
from aio_toolkit.models.subnetwork import choose_experts, count_parameters, extract
from aio_toolkit.moe.base import RoutingTable, Tables
from aio_toolkit.moe.layer import MoEConfig
from aio_toolkit.moe.router import RouterConfig


def specialised(vocabulary, moe: MoEConfig, experts: list[int] | None = None):
    """A model whose task t prefers experts 2t and 2t + 1, or whose tasks all prefer those given."""
    model = tiny_model(vocabulary, moe).eval()
    for layer in model.backbone.moe_layers().values():
        if experts is not None:
            prefer(layer, experts)
            continue
        for task, gate_DE in enumerate(layer.router.gates_DE):
            gate_DE.data = torch.randn_like(gate_DE) * 0.05
            # The frames are normalised: their first channel is made positive by the norm's bias.
            gate_DE.data[0, 2 * task : 2 * task + 2] += 3.0
    for block in model.backbone.blocks:
        for norm in (block.norm, block.mixer.attention_norm):
            norm.bias.data[0] = 3.0
    return model


@pytest.mark.parametrize("task", TASKS)
def test_keeping_all_visited_experts_keeps_the_outputs(vocabulary, tmp_path, task):
    moe = with_attention_experts()
    model, batch = specialised(vocabulary, moe), tiny_batch()
    index = TASKS.index(task)
    rows = batch.task_B == index
    feats, lengths_B = batch.feats_BTF[rows], batch.lengths_B[rows]
    whole, tables = model.encode(feats, lengths_B, batch.task_B[rows])
    kept = choose_experts(tables, index)
    assert all(experts == [2 * index, 2 * index + 1] for experts in kept.values())
    small, config = extract(model, tiny_config(moe), task, kept)
    path = tmp_path / "model.pt"
    small_vocabulary = vocabulary if task == "asr" else None
    save_tiny(path, small, small_vocabulary, config)
    loaded = load_aio(path).model
    assert loaded.tasks == [task]
    assert (loaded.text_head is None) == (task == "sep")
    assert (loaded.codes_head is None) == (task == "asr")
    h_BTD, _ = loaded.encode(feats, lengths_B, torch.zeros(len(feats), dtype=torch.long))
    torch.testing.assert_close(h_BTD, whole, atol=1e-6, rtol=1e-5)
    if task == "sep":
        mixture_BTC = model.latents_of(feats)
        got = loaded.codes_head.latents(h_BTD, task, mixture_BTC)
        torch.testing.assert_close(got, model.codes_head.latents(whole, task, mixture_BTC))
    assert count_parameters(loaded.backbone) < count_parameters(model.backbone)


def prefer(layer, experts: list[int]) -> None:
    """Make every token of every task visit the given experts of a layer, with little doubt."""
    for name, parameter in layer.router.named_parameters():
        if "gate" in name:
            parameter.data = torch.randn_like(parameter) * 0.05
            parameter.data[0, experts] += 3.0


@pytest.mark.parametrize("router", ["per_task", "shared", "task_conditioned"])
@pytest.mark.parametrize(("task", "index"), [("asr", 0), ("sep", 1)])
def test_a_small_model_has_the_losses_of_the_whole(vocabulary, router, task, index):
    """Experts 1 and 3 of either kind are kept: numbers change, and tasks lose their place."""
    moe = with_attention_experts(router=RouterConfig(router))
    model = specialised(vocabulary, moe, [1, 3])
    examples = random_examples({task: [20, 13]})
    want, tables = answer(model, batch_of(examples))
    kept = choose_experts(tables, index)
    assert set(map(tuple, kept.values())) == {(1, 3)}
    small, _ = extract(model, tiny_config(moe), task, kept)
    got, _ = answer(small, batch_of(examples, [task]))
    assert got == pytest.approx(want, rel=1e-5)


@torch.no_grad()
def answer(model, batch) -> tuple[dict[str, float], Tables]:
    """Losses and figures of a batch of one task, and where its frames went."""
    torch.manual_seed(7)  # of the codes head's context
    output = model.eval()(batch)
    (loss,) = output.losses.values()
    figures = {name: value.item() for name, value in loss.figures.items()}
    return {"total": loss.total.item(), **figures}, output.tables


def test_the_whole_model_is_left_as_it_is(vocabulary):
    model = specialised(vocabulary, with_attention_experts())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    kept = dict.fromkeys(model.backbone.moe_layers(), [0, 1])
    small, config = extract(model, tiny_config(with_attention_experts()), "asr", kept)
    assert model.tasks == TASKS
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert config.backbone.moe.kept == dict.fromkeys(kept, 2)
    assert {len(layer.router.bias_E) for layer in small.backbone.moe_layers().values()} == {2}


def test_parameters_are_counted_once_each():
    linear = torch.nn.Linear(3, 5)
    tied = torch.nn.Sequential(linear, torch.nn.LayerNorm(5), linear)
    assert count_parameters(tied) == 3 * 5 + 5 + 10


def test_fewer_experts_than_a_token_visits_are_all_visited(vocabulary):
    moe = MoEConfig(num_experts=4, top_k=2, expert_hidden=16)
    model, batch = specialised(vocabulary, moe), tiny_batch()
    small, _ = extract(model, tiny_config(moe), "sep", {"block1.feed_forward": [3]})
    first_B = torch.zeros(2, dtype=torch.long)
    _, tables = small.eval().encode(batch.feats_BTF[2:], batch.lengths_B[2:], first_B)
    assert tables["block1.feed_forward"].count_GE.tolist() == [[37]]


def load_table(load_E: list[float]) -> dict[str, RoutingTable]:
    count_GE = torch.tensor([[0.0] * len(load_E), load_E])
    return {"layer": RoutingTable(torch.tensor([0.0, 1.0]), *[count_GE] * 4, torch.zeros(2))}


@pytest.mark.parametrize(
    ("min_load", "most", "expected"),
    [
        (0.0, None, [0, 1, 3]),
        (0.5, None, [0, 3]),  # an even load is a quarter; 0.1 of the visits is less than half of it
        (0.0, 1, [3]),
        (9.0, None, [3]),  # the busiest is always kept
    ],
)
def test_usage_rule_and_budget(min_load, most, expected):
    tables = load_table([30.0, 10.0, 0.0, 60.0])
    assert choose_experts(tables, 1, min_load, most) == {"layer": expected}


def test_what_cannot_be_extracted_is_named(vocabulary):
    with pytest.raises(AioError, match="no utterance of the task"):
        choose_experts(load_table([1.0, 1.0]), 0)
    model = tiny_model(vocabulary)
    with pytest.raises(AioError, match="the model has no task 'st'. Its tasks: asr, sep"):
        extract(model, tiny_config(), "st", {})
    for router in (RouterConfig(renormalise=False), RouterConfig(top_p=0.5)):
        config = tiny_config(MoEConfig(router=router))
        with pytest.raises(AioError, match="needs moe.router.renormalise: true and top_p: null"):
            extract(model, config, "asr", {})
