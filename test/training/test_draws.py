"""What a run draws: the same after a restart, with other validations, by any worker."""

import contextlib
import dataclasses
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.utilities import rank_zero_only
from tiny import (
    AIO_OVERRIDES,
    CODEC,
    SSL_OVERRIDES,
    TASKS,
    tiny_batch,
    tiny_model,
    tiny_ssl,
    units_of,
    write_dump,
)
from tiny_training import aio_module, corpus_in, last_state, recorded, ssl_module

from aio_toolkit.config import from_values, load_config
from aio_toolkit.data.sampler import Material, Schedule, TaskBatchSampler
from aio_toolkit.models.batch import Batch
from aio_toolkit.training.adapt import Adaptation, adapt
from aio_toolkit.training.data_module import TaskDataModule
from aio_toolkit.training.dataset import AnswerDataset
from aio_toolkit.training.draws import forked, seed_of, seed_step
from aio_toolkit.training.module import TrainingModule
from aio_toolkit.training.multitask import Folders, MultitaskModule, train_multitask
from aio_toolkit.training.pretrain import PretrainModule, pretrain

# --- generators ---


def test_a_step_draws_what_its_seed_and_number_say():
    drawn = {}
    for place in ((0, 5), (0, 6), (1, 5), (0, 5)):
        seed_step(*place)
        drawn.setdefault(place, []).append(torch.rand(3))
    first, again = drawn[0, 5]
    assert torch.equal(first, again)
    for other in ((0, 6), (1, 5)):
        assert not torch.equal(drawn[other][0], first)


def test_a_step_seeds_every_gpu(monkeypatch):
    seeds = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    seed_step(3, 7)
    assert seeds == [seed_of(3, 7)]


def test_seeds_of_neighbours_have_nothing_in_common():
    seeds = [seed_of(seed, number) for seed in range(3) for number in range(200)]
    assert len(set(seeds)) == 600
    assert max(seeds) >= 2**63


def test_a_fork_gives_the_generators_of_the_cpu_and_of_all_gpus_back(monkeypatch):
    states, original = [], torch.random.fork_rng

    def spy(devices):
        states.append(devices)
        return original([])

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.random, "fork_rng", spy)
    torch.manual_seed(1)
    wanted = torch.rand(2)
    torch.manual_seed(1)
    with forked(9):
        torch.rand(7)
    assert states == [[0, 1, 2]]
    assert torch.equal(torch.rand(2), wanted)


def test_what_is_drawn_in_a_fork_depends_on_its_seed_alone():
    drawn = []
    for seed in (4, 4, 5):
        torch.rand(1)
        with forked(seed):
            drawn.append(torch.rand(3))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_a_fork_gives_the_generators_back_after_an_error():
    before = torch.get_rng_state()
    with contextlib.suppress(ValueError), forked(4):
        raise ValueError
    assert torch.equal(torch.get_rng_state(), before)


# --- examples ---

MIXING = {"sep": {"kind": "speakers", "speakers": {"sources": ["train:asr"], "share": 0.5}}}


@pytest.fixture(scope="module")
def data(tmp_path_factory, vocabulary) -> TaskDataModule:
    """Utterances of 20 frames or more; those of sep are cut to seven, and half are mixtures."""
    root = tmp_path_factory.mktemp("cut")
    write_dump(root)
    values = {"seconds": {"asr": 1.0, "sep": 1.0}, "segment_seconds": 0.14, "mixing": MIXING}
    config, corpus = from_values(TaskDataModule.Config, values, "data"), corpus_in(root)
    rules = config.rules(corpus, CODEC.grid)
    wanted = dict.fromkeys(("text", "audio"), frozenset())
    units = units_of(vocabulary)
    train = AnswerDataset(corpus.train, TASKS, units, wanted, rules)
    dev = AnswerDataset(corpus.dev, TASKS, units, wanted)
    return TaskDataModule(config, train, dev, TASKS, seed=3)


def batches_with(data: TaskDataModule, workers: int, **trainer: int) -> list[Batch]:
    """The batches of a process of a run of eight."""
    alone = {"global_step": 0, "global_rank": 0, "world_size": 1, "accumulate_grad_batches": 1}
    data.trainer = SimpleNamespace(**{"max_steps": 8, **alone, **trainer})
    data.config.num_workers = workers
    return list(data.train_dataloader())


def assert_same(one: list[Batch], other: list[Batch]) -> None:
    for mine, theirs in zip(one, other, strict=True):
        assert (mine.ids, mine.number) == (theirs.ids, theirs.number)
        assert torch.equal(mine.wave_BS, theirs.wave_BS)
        assert torch.equal(mine.targets["sep"].wave_BNS, theirs.targets["sep"].wave_BNS)


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_make_the_examples_that_the_training_process_itself_makes(data, workers):
    assert_same(batches_with(data, workers), batches_with(data, 0))


@pytest.mark.parametrize("start", [1, 5])
def test_a_restart_goes_on_with_the_examples_that_were_next(data, start):
    assert_same(batches_with(data, 0, global_step=start), batches_with(data, 0)[start:])


def test_two_processes_take_turns_at_what_one_that_accumulates_gets(data):
    ranks = [batches_with(data, 0, max_steps=4, global_rank=r, world_size=2) for r in (0, 1)]
    in_turns = [batch for pair in zip(*ranks, strict=True) for batch in pair]
    assert_same(in_turns, batches_with(data, 0, max_steps=4, accumulate_grad_batches=2))


def test_examples_of_every_batch_are_new(data):
    """Cut elsewhere, or mixed anew; by chance a stretch of one of six utterances comes back."""
    rows = [row_S for batch in batches_with(data, 0) for row_S in batch.targets["sep"].wave_BNS]
    assert len({tuple(row_NS[:, 300].tolist()) for row_NS in rows}) > 0.9 * len(rows)


def test_statistics_see_the_batches_that_training_sees(data):
    assert_same(list(data.first_batches(3)), batches_with(data, 0)[:3])


@pytest.mark.parametrize(("rank", "num_ranks", "start"), [(0, 1, 0), (1, 3, 0), (2, 3, 4)])
def test_batches_are_numbered_over_the_run_and_all_ranks(rank, num_ranks, start):
    schedule = Schedule(9, seed=0, start=start, rank=rank, num_ranks=num_ranks)
    material = Material(["a"] * 5, [7] * 5, {}, hop=1)
    batches = list(TaskBatchSampler(material, {"a": 15}, schedule))
    wanted = list(range(start * num_ranks + rank, 9 * num_ranks, num_ranks))
    assert [{draw.batch for draw in batch} for batch in batches] == [{n} for n in wanted]
    for batch in batches:
        assert [draw.row for draw in batch] == list(range(len(batch)))


# --- steps ---


@pytest.fixture(params=["pretrain", "multitask"])
def module(request, vocabulary) -> TrainingModule:
    """A module of each stage that draws in every forward pass."""
    if request.param == "pretrain":
        return ssl_module(tiny_ssl()).train()
    return aio_module(tiny_model(vocabulary, layer_drop=0.5)).train()


def numbered(number: int) -> Batch:
    return dataclasses.replace(tiny_batch(), number=number)


def loss_of(module: TrainingModule, number: int, split: str = "train") -> float:
    """The loss of a batch of that number, whatever was drawn before it."""
    figures = recorded(module)
    step = module.training_step if split == "train" else module.validation_step
    torch.rand(1)
    with torch.no_grad():
        step(numbered(number), 0)
    return figures[f"{split}/loss"]


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_batch_draws_what_its_number_says(module, split):
    first, again, other = (loss_of(module, number, split) for number in (4, 4, 5))
    assert first == again
    assert first != other


def test_a_training_step_depends_on_the_seed_of_the_run(module):
    first = loss_of(module, 4)
    module.seed = 1
    assert loss_of(module, 4) != first


def test_a_validation_leaves_the_generators_as_they_were(module):
    recorded(module)
    before = torch.get_rng_state()
    module.validation_step(tiny_batch(), 0)
    assert torch.equal(torch.get_rng_state(), before)


def dropped(module: MultitaskModule, number: int, step: int, monkeypatch) -> list[bool]:
    """Which of the blocks a micro-batch of an optimizer step skips."""
    monkeypatch.setattr(MultitaskModule, "global_step", step)
    ran = []
    with contextlib.ExitStack() as hooks:
        for place, block in enumerate(module.model.backbone.blocks):
            hook = block.register_forward_hook(lambda *_, place=place: ran.append(place))
            hooks.callback(hook.remove)
        loss_of(module, number)
    return [place not in ran for place in range(len(module.model.backbone.blocks))]


def test_all_micro_batches_and_ranks_of_a_step_skip_the_same_blocks(vocabulary, monkeypatch):
    module = aio_module(tiny_model(vocabulary, num_layers=12, layer_drop=0.5)).train()
    steps = [
        [dropped(module, number, step, monkeypatch) for number in (2 * step, 2 * step + 1)]
        for step in range(3)
    ]
    for one, other in steps:
        assert one == other
        assert 0 < sum(one) < 12
    assert steps[0] != steps[1] != steps[2]


# --- runs ---

OF_RUN = [option for option in SSL_OVERRIDES if option.split(".")[0] in ("optim", "trainer")]
BATCHES = [
    "data.seconds={asr: 1.0, sep: 1.0}",
    "data.segment_seconds=0.2",
    "data.mixing.sep={kind: speakers, speakers: {sources: ['train:asr'], share: 0.5}}",
]
# All that is drawn: spans, distractors; noise of the gates, told classes, segments, dropped blocks.
SHORT = ["trainer.max_steps=4", "trainer.checkpoint_every=1"]
SSL = [
    *SSL_OVERRIDES,
    *SHORT,
    "model.objective.kind=contrastive",
    "trainer.val_check_interval=2",
]
AIO = [
    *AIO_OVERRIDES,
    *SHORT,
    *BATCHES,
    "model.backbone.layer_drop=0.5",
    "model.backbone.moe.router.per_task.noise=0.5",
    "optim.lr=0.01",
    "trainer.accumulate_grad_batches=2",
    "trainer.val_check_interval=4",
]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Random data of two tasks, and an encoder pre-trained on it."""
    root = tmp_path_factory.mktemp("draws")
    write_dump(root)
    run_ssl(root, "ssl")
    return root


def run_ssl(root: Path, out: str, *more: str) -> None:
    pretrain(load_config(PretrainModule.Config, None, [*SSL, *more]), corpus_in(root), root / out)


def run_aio(root: Path, units: Path, out: str, *more: str) -> None:
    config = load_config(MultitaskModule.Config, None, [*AIO, *more])
    train_multitask(config, corpus_in(root), Folders(root / "ssl", units, root / out))


@pytest.fixture(params=["pretrain", "multitask"])
def stage(request, root, units):
    """The module of a stage, and what trains it into a folder."""
    if request.param == "pretrain":
        return PretrainModule, partial(run_ssl, root)
    return MultitaskModule, partial(run_aio, root, units)


def dying(module: type[TrainingModule], at: int):
    """A training step that fails in the given optimizer step."""
    original = module.training_step

    def training_step(self, batch, index):
        if self.global_step == at:
            raise RuntimeError("killed")
        return original(self, batch, index)

    return training_step


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "model.pt", weights_only=True)["state"]


def seeds_of(module: type[TrainingModule], monkeypatch) -> set[int]:
    """The seeds that training steps and their segments are drawn with, once a run has begun."""
    original, seeds = module.training_step, set()

    def spy(self, batch, index):
        seeds.update({self.seed, self.trainer.datamodule.seed})
        return original(self, batch, index)

    monkeypatch.setattr(module, "training_step", spy)
    return seeds


def test_the_seed_of_the_configuration_is_that_of_the_draws(stage, monkeypatch):
    module, run = stage
    seeds = seeds_of(module, monkeypatch)
    run(f"{module.__name__}_seed", "seed=5", "trainer.max_steps=1")
    assert seeds == {5}


def test_an_adaptation_draws_by_its_own_seed(root, units, monkeypatch):
    run_aio(root, units, "known", "data.seconds={sep: 0.0}", "trainer.max_steps=1")
    seeds = seeds_of(MultitaskModule, monkeypatch)
    batches = ["data.seconds={sep: 1.0}", "data.segment_seconds=0.2"]
    options = [f"trained={root / 'known'}", "seed=5", *batches, *OF_RUN, "trainer.max_steps=1"]
    config = load_config(Adaptation.Config, None, options)
    adapt(config, corpus_in(root), units, root / "adapted")
    assert seeds == {5}


@pytest.mark.parametrize("at", [2, 3])  # resumed after a validation, and between two
def test_a_killed_run_ends_with_the_bits_of_one_that_was_not(root, stage, monkeypatch, at):
    module, run = stage
    names = [f"{module.__name__}_{end}" for end in ("whole", f"killed_{at}")]
    run(names[0])
    with monkeypatch.context() as patch:
        patch.setattr(module, "training_step", dying(module, at))
        with pytest.raises(RuntimeError):
            run(names[1])
    run(names[1])
    whole, killed = (last_state(root / name) for name in names)
    assert whole["step"] == 4
    torch.testing.assert_close(killed, whole, atol=0, rtol=0)
    whole, killed = (weights(root / name) for name in names)
    torch.testing.assert_close(killed, whole, atol=0, rtol=0)


@pytest.mark.parametrize(("rank", "writes"), [(0, True), (1, False)])
def test_only_the_first_rank_writes_the_model(root, stage, monkeypatch, capsys, rank, writes):
    module, run = stage
    out = f"{module.__name__}_rank_{rank}"
    monkeypatch.setattr(rank_zero_only, "rank", rank)
    run(out, "trainer.max_steps=1", "trainer.accumulate_grad_batches=1")
    assert (root / out / "model.pt").is_file() == writes
    assert ("wrote" in capsys.readouterr().out) == writes


def test_how_often_a_run_is_validated_does_not_change_what_it_learns(root, stage):
    module, run = stage
    names = [f"{module.__name__}_every_{steps}" for steps in (2, 3)]
    run(names[0], "trainer.val_check_interval=2")
    run(names[1], "trainer.val_check_interval=3")
    often, seldom = (last_state(root / name) for name in names)
    torch.testing.assert_close(often, seldom, atol=0, rtol=0)
