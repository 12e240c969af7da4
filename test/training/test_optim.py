"""The rate of every step in closed form, and what weight decay leaves alone."""

import math

import pytest
import torch
from tiny import tiny_model
from torch import nn

from aio_toolkit.config import from_values
from aio_toolkit.errors import AioError
from aio_toolkit.moe.routers.base import RouterSizes
from aio_toolkit.moe.routers.per_task import PerTaskRouter
from aio_toolkit.training.optim import Optim, OptimizerKind

PEAK, WARMUP, STEPS = 0.3, 8, 48


def rates(warmup_steps: int, max_steps: int, fall: float = 1.0) -> list[float]:
    """The rate that each optimizer step is taken at, and the one after the last."""
    config = Optim.Config(lr=PEAK, warmup_steps=warmup_steps, fall=fall)
    built = Optim(config).build(nn.Linear(2, 1), max_steps)
    optimizer, schedule = built["optimizer"], built["lr_scheduler"]["scheduler"]
    found = [optimizer.param_groups[0]["lr"]]
    for _ in range(max_steps):
        optimizer.step()
        schedule.step()
        found.append(optimizer.param_groups[0]["lr"])
    return found


@pytest.mark.parametrize(
    ("step", "share"),
    [
        (0, 1 / WARMUP),  # the first step is not wasted on a rate of zero
        (3, 1 / 2),
        (WARMUP - 1, 1.0),
        (WARMUP, 1.0),
        (18, (1 + math.cos(math.pi / 4)) / 2),
        (28, 1 / 2),
        (38, (1 - math.cos(math.pi / 4)) / 2),
        (STEPS, 0.0),
    ],
)
def test_the_rate_rises_linearly_and_falls_as_a_cosine(step, share):
    assert rates(WARMUP, STEPS)[step] == pytest.approx(PEAK * share, abs=1e-9)


@pytest.mark.parametrize("kind", OptimizerKind)
def test_both_kinds_follow_the_same_schedule(kind):
    built = Optim(Optim.Config(kind, lr=PEAK, warmup_steps=4)).build(nn.Linear(64, 64), 12)
    assert {group["lr"] for group in built["optimizer"].param_groups} == {PEAK / 4}


@pytest.mark.parametrize(
    ("step", "share"),
    [
        (WARMUP - 1, 1.0),
        (20, 1.0),
        (38, 1.0),  # a quarter of the 40 steps after the warm-up is left
        (43, 1 / 2),
        (STEPS, 0.0),
    ],
)
def test_the_rate_holds_until_its_fall(step, share):
    assert rates(WARMUP, STEPS, fall=0.25)[step] == pytest.approx(PEAK * share, abs=1e-9)


@pytest.mark.parametrize("fall", [0.0, -0.1, 1.01])
def test_a_fall_that_is_no_share_is_refused(fall):
    with pytest.raises(AioError, match="key 'fall' must be above 0 and at most 1, not"):
        from_values(Optim.Config, {"fall": fall}, "optim")


def test_a_run_shorter_than_its_warm_up_never_falls():
    assert rates(10, 5) == pytest.approx([PEAK * (step + 1) / 10 for step in range(6)])


def test_without_warm_up_the_first_step_is_taken_at_the_peak():
    assert rates(0, 5)[0] == pytest.approx(PEAK)


def test_the_rate_changes_from_step_to_step():
    built = Optim(Optim.Config()).build(nn.Linear(2, 1), 10)
    assert built["lr_scheduler"]["interval"] == "step"


class Mixed(nn.Module):
    """One parameter of each kind."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.norm = nn.LayerNorm(2)
        self.embedding = nn.Embedding(5, 2)
        self.vector = nn.Parameter(torch.ones(4))
        self.experts = nn.Parameter(torch.ones(2, 3, 4))
        self.frozen = nn.Linear(3, 2).requires_grad_(False)


def decay_of(module: nn.Module, weight_decay: float) -> dict[str, float]:
    """Weight decay of every parameter that is trained, by name."""
    config = Optim.Config(weight_decay=weight_decay)
    optimizer = Optim(config).build(module, 10)["optimizer"]
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    grouped = [(p, group) for group in optimizer.param_groups for p in group["params"]]
    assert len({id(parameter) for parameter, _ in grouped}) == len(grouped)
    return {names[id(parameter)]: group["weight_decay"] for parameter, group in grouped}


def test_matrices_decay_and_biases_norms_embeddings_and_vectors_do_not():
    assert decay_of(Mixed(), 0.25) == {
        "linear.weight": 0.25,
        "experts": 0.25,
        "linear.bias": 0.0,
        "norm.weight": 0.0,
        "norm.bias": 0.0,
        "embedding.weight": 0.0,
        "vector": 0.0,
    }


def test_muon_steps_matrices_and_stacks_of_them_and_neither_gates_nor_kernels(vocabulary):
    class Layers(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(32, 48)
            self.experts = nn.Parameter(torch.ones(2, 40, 33))
            self.embedding = nn.Embedding(50, 32)
            self.kernel_KD = nn.Parameter(torch.ones(31, 64))
            self.router = PerTaskRouter(PerTaskRouter.Config(), RouterSizes(64, 2, 40, 2))

    module = Layers()
    config = Optim.Config(OptimizerKind.muon, weight_decay=0.25)
    optimizer = Optim(config).build(module, 10)["optimizer"]
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    of_muon, decayed, found = set(), set(), []
    for group in optimizer.param_groups:
        members = [names[id(parameter)] for parameter in group["params"]]
        found += members
        of_muon |= set(members) if group["muon"] else set()
        decayed |= set(members) if group["weight_decay"] == 0.25 else set()
    assert sorted(found) == sorted(names.values())
    assert of_muon == {"linear.weight", "experts"}
    assert decayed == {"linear.weight", "experts", "kernel_KD", *gates_of(module)}


def gates_of(module: nn.Module) -> set[str]:
    return {name for name, _ in module.named_parameters() if name.startswith("router.")}


def test_the_whole_model_trains_all_but_its_encoder(vocabulary):
    model = tiny_model(vocabulary)
    decay = decay_of(model, 0.25)
    trained = {name for name, _ in model.named_parameters() if not name.startswith("encoder.")}
    assert decay.keys() == trained
    assert decay["heads.text.decoder.embed.0.weight"] == 0
    assert decay["backbone.task_embedding.0"] == 0
    assert decay["backbone.blocks.1.feed_forward.router.gates_DE.0"] == 0.25


def test_a_step_is_that_of_adamw_with_the_given_decay_and_moments():
    torch.manual_seed(0)
    ours, reference = nn.Linear(3, 2, bias=False), nn.Linear(3, 2, bias=False)
    reference.load_state_dict(ours.state_dict())
    config = Optim.Config(lr=0.1, weight_decay=0.2, warmup_steps=0, beta2=0.7)
    optimizer = Optim(config).build(ours, 100)["optimizer"]
    betas = (0.9, 0.7)
    known = torch.optim.AdamW(reference.parameters(), lr=0.1, betas=betas, weight_decay=0.2)
    for _ in range(3):
        x_BD = torch.randn(4, 3)
        for module, stepping in ((ours, optimizer), (reference, known)):
            stepping.zero_grad()
            module(x_BD).square().sum().backward()
            stepping.step()
    torch.testing.assert_close(ours.weight, reference.weight)
