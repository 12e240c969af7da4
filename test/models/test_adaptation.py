"""A new task trains its own layers and moves nothing else by a bit."""

import pytest
import torch
from tiny import (
    CODEBOOK_SIZE,
    NUM_CODEBOOKS,
    NUM_LATENTS,
    batch_of,
    random_examples,
    randomise_gates,
    tiny_config,
    tiny_model,
    with_attention_experts,
)

from aio_toolkit.errors import AioError
from aio_toolkit.models.adaptation import add_task
from aio_toolkit.moe.router import RouterConfig
from aio_toolkit.training.optim import OptimConfig, build_optimizer

CTC_OF_ST = {"text_head.ctc.st.ctc_lo.weight", "text_head.ctc.st.ctc_lo.bias"}
QUERIES_OF_ENH = {
    f"codes_head.queries.enh_{name}.{parameter}"
    for name in ("speech", "noise")
    for parameter in ("weight", "bias")
}


@pytest.mark.parametrize("router", ["per_task", "shared", "task_conditioned"])
@pytest.mark.parametrize(
    ("known", "task", "own"),
    [
        (["asr", "sep"], "st", CTC_OF_ST),
        (["asr", "sep"], "enh", QUERIES_OF_ENH),
        (["sep"], "asr", None),
        (["asr"], "sep", None),
    ],
)
def test_only_what_is_the_new_tasks_own_moves(vocabulary, router, known, task, own):
    model = adapted(vocabulary, router, known, task)
    assert model.tasks == [*known, task]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    train(model, task)
    after = model.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    expected = own_of_backbone(router, len(known))
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


def adapted(vocabulary, router: str, known: list[str], task: str):
    """A model of the known tasks that has just been given another."""
    moe = with_attention_experts(router=RouterConfig(router))
    model = tiny_model(vocabulary, moe, tasks=known)
    randomise_gates(model)
    embedding_QVC = torch.randn(NUM_CODEBOOKS, CODEBOOK_SIZE, NUM_LATENTS)
    add_task(model, tiny_config(moe), task, vocabulary, embedding_QVC)
    return model


def train(model, task: str, steps: int = 3) -> None:
    """Train on the new task alone."""
    model.train()
    batch = batch_of(random_examples({task: [20, 13]}), model.tasks)
    config = OptimConfig(lr=1e-2, weight_decay=0.1, warmup_steps=0)
    optimizer = build_optimizer(model, config, steps)["optimizer"]
    for _ in range(steps):
        optimizer.zero_grad()
        model(batch).losses[task].total.backward()
        optimizer.step()


def own_of_backbone(router: str, index: int) -> set[str]:
    """What task number `index` has for itself in the backbone."""
    names = {f"backbone.task_embedding.{index}"}
    places = {"per_task": f"gates_DE.{index}", "task_conditioned": f"tasks_C.{index}"}
    if router in places:
        layers = ("blocks.0.mixer.attention", "blocks.1.mixer.attention", "blocks.1.feed_forward")
        names |= {f"backbone.{layer}.router.{places[router]}" for layer in layers}
    return names


@pytest.mark.parametrize("router", ["per_task", "shared", "task_conditioned"])
@pytest.mark.parametrize("task", ["st", "enh"])
def test_the_answers_of_the_old_tasks_are_bit_equal_before_and_after(vocabulary, router, task):
    moe = with_attention_experts(router=RouterConfig(router))
    model = tiny_model(vocabulary, moe)
    randomise_gates(model)
    batch = batch_of(random_examples({"asr": [20, 13], "sep": [17, 20]}))
    before = answers(model, batch)
    embedding_QVC = torch.randn(NUM_CODEBOOKS, CODEBOOK_SIZE, NUM_LATENTS)
    add_task(model, tiny_config(moe), task, vocabulary, embedding_QVC)
    train(model, task)
    after = answers(model, batch)
    assert torch.equal(after[0], before[0])
    assert after[1:] == before[1:]


def answers(model, batch) -> tuple[torch.Tensor, float, float]:
    """Frames of the backbone, and the loss of either task."""
    model.eval()
    h_BTD, _ = model.encode(batch.feats_BTF, batch.lengths_B, batch.task_B)
    torch.manual_seed(7)  # of the codes head's context
    losses = model(batch).losses
    return h_BTD, losses["asr"].total.item(), losses["sep"].total.item()


def test_a_new_task_learns(vocabulary):
    model = adapted(vocabulary, "per_task", ["asr", "sep"], "st")
    batch = batch_of(random_examples({"st": [20, 13]}), model.tasks)
    first = model.eval()(batch).losses["st"].total.item()
    train(model, "st", steps=20)
    assert model.eval()(batch).losses["st"].total.item() < 0.8 * first


def test_a_known_task_is_not_new(vocabulary):
    model = tiny_model(vocabulary, tasks=["asr"])
    with pytest.raises(AioError, match="knows task 'asr' already. Its tasks: asr"):
        add_task(model, tiny_config(), "asr", vocabulary, None)
