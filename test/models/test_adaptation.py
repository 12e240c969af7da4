"""A new task trains its own layers and moves nothing else by a bit."""

import pytest
import torch
from tiny import (
    ALL,
    TASKS,
    batch_of,
    hidden,
    named,
    random_examples,
    randomise_gates,
    router,
    tiny_model,
    units_of,
    with_attention_experts,
)

from aio_toolkit.answers.text import TextUnits
from aio_toolkit.errors import AioError
from aio_toolkit.models.adaptation import add_task
from aio_toolkit.models.aio import AioModel
from aio_toolkit.text import Vocabulary
from aio_toolkit.training.optim import Optim

CTC_OF_ST = {"heads.text.ctc.st.ctc_lo.weight", "heads.text.ctc.st.ctc_lo.bias"}
QUERIES_OF_ENH = {
    f"heads.audio.queries.enh_{name}.{parameter}"
    for name in ("speech", "noise")
    for parameter in ("weight", "bias")
}
ROUTERS = ["per_task", "shared", "task_conditioned"]


@pytest.mark.parametrize("kind", ROUTERS)
@pytest.mark.parametrize(
    ("known", "task", "own"),
    [
        (["asr", "sep"], "st", CTC_OF_ST),
        (["asr", "sep"], "enh", QUERIES_OF_ENH),
        (["sep"], "asr", None),
        (["asr"], "sep", None),
    ],
)
def test_only_what_is_the_new_tasks_own_moves(vocabulary, kind, known, task, own):
    model = adapted(vocabulary, kind, known, task)
    assert model.tasks == named(*known, task)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    train(model, task)
    after = model.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    expected = own_of_backbone(kind, len(known))
    start = "heads.text.decoder.embed.0.weight"
    if own is None:
        head = "heads.text." if task == "asr" else "heads.audio."
        assert expected <= moved
        assert all(name in expected or name.startswith(head) for name in moved)
    else:
        assert moved == expected | own | ({start} if task == "st" else set())
    if task == "st":
        rows = (before[start] != after[start]).any(1).nonzero()[:, 0].tolist()
        assert rows == [vocabulary.start("st")]


def adapted(vocabulary, kind: str, known: list[str], task: str) -> AioModel:
    """A model of the known tasks that has just been given another."""
    moe = with_attention_experts(router=router(kind))
    model = tiny_model(vocabulary, moe, tasks=named(*known))
    randomise_gates(model)
    give(model, task, vocabulary)
    return model


def give(model: AioModel, task: str, vocabulary) -> None:
    """Add a task with the units that the model has for its kind of answer, or random ones."""
    output = ALL[task].output
    add_task(model, ALL[task], model.units.get(output, units_of(vocabulary)[output]))


def train(model: AioModel, task: str, steps: int = 3) -> None:
    """Train on the new task alone."""
    model.train()
    batch = batch_of(random_examples({task: [20, 13]}), model.tasks)
    config = Optim.Config(lr=1e-2, weight_decay=0.1, warmup_steps=0)
    optimizer = Optim(config).build(model, steps)["optimizer"]
    for _ in range(steps):
        optimizer.zero_grad()
        model(batch).losses[task].total.backward()
        optimizer.step()


def own_of_backbone(kind: str, index: int) -> set[str]:
    """What task number `index` has for itself in the backbone."""
    names = {f"backbone.task_embedding.{index}"}
    places = {"per_task": f"gates_DE.{index}", "task_conditioned": f"tasks_C.{index}"}
    if kind in places:
        layers = ("blocks.0.mixer.attention", "blocks.1.mixer.attention", "blocks.1.feed_forward")
        names |= {f"backbone.{layer}.router.{places[kind]}" for layer in layers}
    return names


@pytest.mark.parametrize("kind", ROUTERS)
@pytest.mark.parametrize("task", ["st", "enh"])
def test_the_answers_of_the_old_tasks_are_bit_equal_before_and_after(vocabulary, kind, task):
    model = tiny_model(vocabulary, with_attention_experts(router=router(kind)))
    randomise_gates(model)
    batch = batch_of(random_examples({"asr": [20, 13], "sep": [17, 20]}))
    before = answers(model, batch)
    give(model, task, vocabulary)
    train(model, task)
    after = answers(model, batch)
    assert torch.equal(after[0], before[0])
    assert after[1:] == before[1:]


def answers(model: AioModel, batch) -> tuple[torch.Tensor, float, float]:
    """Frames of the backbone, and the loss of either task."""
    model.eval()
    h_BTD = hidden(model, batch)
    torch.manual_seed(7)  # of the class path's context
    losses = model(batch).losses
    return h_BTD, losses["asr"].total.item(), losses["sep"].total.item()


def test_a_new_task_learns(vocabulary):
    model = adapted(vocabulary, "per_task", ["asr", "sep"], "st")
    batch = batch_of(random_examples({"st": [20, 13]}), model.tasks)
    first = model.eval()(batch).losses["st"].total.item()
    train(model, "st", steps=20)
    assert model.eval()(batch).losses["st"].total.item() < 0.8 * first


def test_all_but_the_new_task_s_own_is_frozen(vocabulary):
    model = adapted(vocabulary, "per_task", ["sep"], "asr")
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    head = {f"heads.text.{name}" for name, _ in model.heads["text"].named_parameters()}
    assert trained == head | own_of_backbone("per_task", 1)


def test_a_kind_of_answer_that_is_new_brings_its_units(vocabulary):
    model = adapted(vocabulary, "per_task", ["sep"], "asr")
    assert model.units["text"] == TextUnits(vocabulary)


def test_a_known_task_is_not_new(vocabulary):
    model = tiny_model(vocabulary, tasks=named("asr"))
    with pytest.raises(AioError, match="knows task 'asr' already. Its tasks: asr"):
        add_task(model, ALL["asr"], TextUnits(vocabulary))


def test_other_units_than_the_model_s_are_refused(vocabulary):
    model = tiny_model(vocabulary, tasks=TASKS)
    other = TextUnits(Vocabulary(("<blank>", "a", "<st>", "<eos>"), b""))
    with pytest.raises(AioError, match="task 'st' against the trained model: "):
        add_task(model, ALL["st"], other)
    assert [task.name for task in model.tasks] == ["asr", "sep"]
