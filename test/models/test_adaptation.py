"""A new task trains its own layers and moves nothing else by a bit."""

import pytest
import torch
from tiny import ENCODER, tiny_config, with_attention_experts

from aio_toolkit.data.batch import Batch
from aio_toolkit.errors import AioError
from aio_toolkit.models.adaptation import add_task
from aio_toolkit.models.aio import AioModel
from aio_toolkit.models.ssl import SslEncoder
from aio_toolkit.moe.router import RouterConfig
from aio_toolkit.training.optim import OptimConfig, build_optimizer

QUERIES = ("speech", "noise")


def batch_of(task: str, index: int) -> Batch:
    torch.manual_seed(1)
    lengths_B = torch.tensor([20, 13])
    sources = {"sep": 2, "enh": 2}.get(task)
    target = torch.randint(1, 20, (2, 4)) if sources is None else torch.randint(9, (2, sources, 20, 2))
    tasks_B = torch.full((2,), index)
    return Batch(["a", "b"], tasks_B, torch.randn(2, 20, 12), lengths_B, None, {task: slice(0, 2)}, {task: target})


@pytest.mark.parametrize("router", ["per_task", "shared", "task_conditioned"])
@pytest.mark.parametrize(
    ("known", "task", "own"),
    [
        (["asr", "sep"], "st", {"text_head.ctc.st.ctc_lo.weight", "text_head.ctc.st.ctc_lo.bias"}),
        (["asr", "sep"], "enh", {f"codes_head.queries.enh_{n}.{p}" for n in QUERIES for p in ("weight", "bias")}),
        (["sep"], "asr", None),
        (["asr"], "sep", None),
    ],
)
def test_only_what_is_the_new_tasks_own_moves(vocabulary, router, known, task, own):
    torch.manual_seed(0)
    config = tiny_config(with_attention_experts(router=RouterConfig(router)))
    model = AioModel(config, known, SslEncoder(ENCODER, 12), vocabulary, torch.randn(2, 9, 4))
    for name, parameter in model.named_parameters():
        if "gate" in name and "router" in name:
            torch.nn.init.normal_(parameter)  # zero, as it starts, it would hide the task's embedding
    add_task(model, config, task, vocabulary, torch.randn(2, 9, 4))
    assert model.tasks == [*known, task]
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = build_optimizer(model, OptimConfig(lr=1e-2, weight_decay=0.1), 10)["optimizer"]
    for _ in range(3):
        optimizer.zero_grad()
        model(batch_of(task, len(known))).losses[task].total.backward()
        optimizer.step()
    after = model.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    gate = {"per_task": f".router.gates_DE.{len(known)}", "task_conditioned": f".router.tasks_C.{len(known)}"}
    layers = ["blocks.0.mixer.attention", "blocks.1.mixer.attention", "blocks.1.feed_forward"]
    expected = {f"backbone.task_embedding.{len(known)}"}
    if router in gate:
        expected |= {f"backbone.{layer}{gate[router]}" for layer in layers}
    start = "text_head.decoder.embed.0.weight"
    if own is None:
        head = "text_head." if task == "asr" else "codes_head."
        assert expected <= moved
        assert all(name in expected or name.startswith(head) for name in moved)
    else:
        assert moved == expected | own | ({start} if task == "st" else set())
    if task == "st":
        rows = (before[start] != after[start]).any(1).nonzero()[:, 0].tolist()
        assert rows == [vocabulary.start("st")]


def test_a_known_task_is_not_new(vocabulary):
    model = AioModel(tiny_config(), ["asr"], SslEncoder(ENCODER, 12), vocabulary, None)
    with pytest.raises(AioError, match="knows task 'asr' already"):
        add_task(model, tiny_config(), "asr", vocabulary, None)
