"""Sub-networks: the same answers with the experts that a task visits, and with nothing else."""

import pytest
import torch
from tiny import (
    ALL,
    TASKS,
    batch_of,
    frames_B,
    hidden,
    random_examples,
    router,
    rows_of,
    save_tiny,
    tiny_batch,
    tiny_model,
    tiny_moe,
    with_attention_experts,
)

from aio_toolkit.errors import AioError
from aio_toolkit.heads.base import Frames
from aio_toolkit.layers import count_parameters
from aio_toolkit.models.aio import AioModel
from aio_toolkit.models.checkpoint import load_aio
from aio_toolkit.models.subnetwork import choose_experts, extract
from aio_toolkit.moe.base import RoutingTable, Tables
from aio_toolkit.moe.mixture import MoE

ASR, SEP = TASKS


def specialised(vocabulary, moe: MoE.Config, experts: list[int] | None = None) -> AioModel:
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


def masks(model: AioModel, h_BTD: torch.Tensor, batch) -> torch.Tensor:
    """The audio head's masks of the rows of `sep`."""
    waves = batch.wave_BS[2:], batch.samples_B[2:]
    frames = Frames(h_BTD, frames_B(batch)[2:], SEP, *waves)
    head = model.heads["audio"]
    return head.paths["mask"].masks(head.split(frames))


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_keeping_all_visited_experts_keeps_the_outputs(vocabulary, tmp_path, task):
    model, batch = specialised(vocabulary, with_attention_experts()), tiny_batch()
    index = TASKS.index(task)
    torch.nn.init.normal_(model.heads["audio"].paths["mask"].linear.weight)
    rows = slice(2 * index, 2 * index + 2)
    output = model.encode(rows_of(batch, rows))
    whole, tables = output.h_BTD, output.tables
    kept = choose_experts(tables, index)
    assert all(experts == [2 * index, 2 * index + 1] for experts in kept.values())
    save_tiny(tmp_path / "model.pt", extract(model, task, kept))
    loaded = load_aio(tmp_path / "model.pt").model
    assert loaded.tasks == [task]
    assert list(loaded.heads) == list(loaded.units) == [task.output]
    h_BTD = hidden(loaded, rows_of(batch, rows, torch.zeros(2, dtype=torch.long)))
    torch.testing.assert_close(h_BTD, whole, atol=1e-6, rtol=1e-5)
    if task == SEP:
        want = masks(model, whole, batch)
        torch.testing.assert_close(masks(loaded, h_BTD, batch), want)
    assert count_parameters(loaded.backbone) < count_parameters(model.backbone)


def prefer(layer, experts: list[int]) -> None:
    """Make every token of every task visit the given experts of a layer, with little doubt."""
    for name, parameter in layer.router.named_parameters():
        if "gate" in name:
            parameter.data = torch.randn_like(parameter) * 0.05
            parameter.data[0, experts] += 3.0


@pytest.mark.parametrize("kind", ["per_task", "shared", "task_conditioned"])
@pytest.mark.parametrize(("task", "index"), [(ASR, 0), (SEP, 1)], ids=["asr-0", "sep-1"])
def test_a_small_model_has_the_losses_of_the_whole(vocabulary, kind, task, index):
    """Experts 1 and 3 of either kind are kept: numbers change, and tasks lose their place."""
    model = specialised(vocabulary, with_attention_experts(router=router(kind)), [1, 3])
    examples = random_examples({task.name: [20, 13]})
    want, tables = answer(model, batch_of(examples))
    kept = choose_experts(tables, index)
    assert set(map(tuple, kept.values())) == {(1, 3)}
    small = extract(model, task, kept)
    got, _ = answer(small, batch_of(examples, [task]))
    assert got == pytest.approx(want, rel=1e-5)


@torch.no_grad()
def answer(model: AioModel, batch) -> tuple[dict[str, float], Tables]:
    """Losses and figures of a batch of one task, and where its frames went."""
    torch.manual_seed(7)  # of the class path's context
    output = model.eval()(batch)
    (loss,) = output.losses.values()
    figures = {name: value.item() for name, value in loss.figures.items()}
    return {"total": loss.total.item(), **figures}, output.tables


def test_the_whole_model_is_left_as_it_is(vocabulary):
    model = specialised(vocabulary, with_attention_experts())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    kept = dict.fromkeys(model.backbone.moe_layers(), [0, 1])
    small = extract(model, ASR, kept)
    assert model.tasks == TASKS
    assert list(model.heads) == list(model.units) == ["text", "audio"]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert {len(layer.router.bias_E) for layer in small.backbone.moe_layers().values()} == {2}


def test_fewer_experts_than_a_token_visits_are_all_visited(vocabulary):
    model, batch = specialised(vocabulary, tiny_moe()), tiny_batch()
    small = extract(model, SEP, {"block1.feed_forward": [3]})
    first_B = torch.zeros(2, dtype=torch.long)
    tables = small.eval().encode(rows_of(batch, slice(2, 4), first_B)).tables
    assert tables["block1.feed_forward"].count_GE.tolist() == [[37]]


def test_layers_may_be_left_with_different_numbers_of_experts(vocabulary, tmp_path):
    model, batch = specialised(vocabulary, with_attention_experts()), tiny_batch()
    kept = {"block0.attention": [0], "block1.attention": [3, 0, 1], "block1.feed_forward": [2, 1]}
    small = extract(model, SEP, kept).eval()
    save_tiny(tmp_path / "model.pt", small)
    loaded = load_aio(tmp_path / "model.pt").model
    sizes = {name: layer.router.num_experts for name, layer in loaded.backbone.moe_layers().items()}
    assert sizes == {name: len(experts) for name, experts in kept.items()}
    torch.testing.assert_close(loaded.state_dict(), small.state_dict(), atol=0, rtol=0)
    rows = rows_of(batch, slice(2, 4), torch.zeros(2, dtype=torch.long))
    assert torch.equal(hidden(loaded, rows), hidden(small, rows))


def load_table(load_E: list[float]) -> dict[str, RoutingTable]:
    count_GE = torch.tensor([[0.0] * len(load_E), load_E])
    return {"layer": RoutingTable(torch.tensor([0.0, 1.0]), *[count_GE] * 4, torch.zeros(2))}


@pytest.mark.parametrize(
    ("min_load", "max_experts", "expected"),
    [
        (0.0, None, [0, 1, 3]),
        (0.5, None, [0, 3]),  # an even load is a quarter; 0.1 of the visits is less than half of it
        (0.0, 1, [3]),
        (9.0, None, [3]),  # the busiest is always kept
    ],
)
def test_usage_rule_and_budget(min_load, max_experts, expected):
    tables = load_table([30.0, 10.0, 0.0, 60.0])
    assert choose_experts(tables, 1, min_load, max_experts) == {"layer": expected}


def test_a_task_without_tokens_is_named():
    with pytest.raises(AioError, match="no utterance of the task"):
        choose_experts(load_table([1.0, 1.0]), 0)


def test_a_task_that_the_model_does_not_know_is_named(vocabulary):
    with pytest.raises(AioError, match="the model has no task 'st'. Its tasks: asr, sep"):
        extract(tiny_model(vocabulary), ALL["st"], {})


@pytest.mark.parametrize("options", [{"renormalise": False}, {"top_p": 0.5}])
def test_routers_whose_weights_would_change_are_refused(vocabulary, options):
    model = tiny_model(vocabulary, tiny_moe(router=router("per_task", **options)))
    message = "router of block1.feed_forward .*needs a gate with renormalise: true and top_p: null"
    with pytest.raises(AioError, match=message):
        extract(model, ASR, {"block1.feed_forward": [0, 1]})


def test_a_gate_with_a_bias_on_its_choices_is_refused(vocabulary):
    """Probabilities among fewer experts are greater, so that a bias weighs less."""
    model = tiny_model(vocabulary)
    model.backbone.moe_layers()["block1.feed_forward"].router.bias_E[2] = 0.1
    with pytest.raises(AioError, match="router of block1.feed_forward"):
        extract(model, ASR, {"block1.feed_forward": [0, 1]})
