"""Which batches a run gets: budgets in frames, from where it stands, for its rank."""

from collections import Counter
from types import SimpleNamespace

import pytest
from tiny import FRAME_RATE, TASKS, write_dump

from aio_toolkit.data.dataset import PretrainingDataset
from aio_toolkit.data.sampler import TaskBatchSampler, fixed_batches
from aio_toolkit.training.config import DataConfig
from aio_toolkit.training.data_module import TaskDataModule

SECONDS = {"asr": 1.5, "sep": 0.9, "st": 0.0}


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    root = tmp_path_factory.mktemp("data_module")
    data, dump = write_dump(root)
    return [PretrainingDataset(data / name, dump / name, TASKS) for name in ("train", "dev")]


def module_of(splits, tasks=(), **trainer) -> TaskDataModule:
    config = DataConfig(seconds=SECONDS, dev_seconds=1.3)
    module = TaskDataModule(*splits, config, seed=3, frame_rate=FRAME_RATE, tasks=tasks)
    alone = {"global_rank": 0, "world_size": 1, "accumulate_grad_batches": 1}
    module.trainer = SimpleNamespace(**{"max_steps": 7, "global_step": 0, **alone, **trainer})
    return module


def sampler_of(train, num_batches: int, **options) -> TaskBatchSampler:
    """Batches by indices: 75 frames of asr and 45 of sep in each."""
    tasks = [utterance.task for utterance in train.utterances]
    budget = {"asr": 75, "sep": 45}
    return TaskBatchSampler(tasks, train.num_frames, budget, num_batches, seed=3, **options)


def ids(train, indices: list[int]) -> set[str]:
    return {train.utterances[index].id for index in indices}


@pytest.mark.parametrize(
    ("trainer", "num_batches", "options"),
    [
        ({}, 7, {}),
        ({"global_step": 4}, 7, {"start": 4}),
        ({"accumulate_grad_batches": 3, "global_step": 2}, 21, {"start": 6}),
        ({"global_rank": 1, "world_size": 2}, 7, {"rank": 1, "num_ranks": 2}),
    ],
)
def test_training_gets_the_batches_of_its_steps_and_rank(splits, trainer, num_batches, options):
    train = splits[0]
    loader = module_of(splits, **trainer).train_dataloader()
    assert len(loader) == num_batches
    wanted = [ids(train, batch) for batch in sampler_of(train, num_batches, **options)]
    assert [set(batch.ids) for batch in loader] == wanted


def test_task_indices_are_those_of_the_model(splits):
    module = module_of(splits, tasks=["st", "sep", "music", "asr"])
    batch = next(iter(module.train_dataloader()))
    index = {"asr": 3, "sep": 1}
    assert batch.task_B.tolist() == [index[id.split("-")[0]] for id in batch.ids]
    assert set(batch.rows) == {"asr", "sep"}


def test_task_indices_are_the_order_of_the_configuration_by_default(splits):
    batch = next(iter(module_of(splits).train_dataloader()))
    index = {"asr": 0, "sep": 1}
    assert batch.task_B.tolist() == [index[id.split("-")[0]] for id in batch.ids]


def test_validation_sees_every_utterance_once_in_fixed_batches(splits):
    dev = splits[1]
    batches = list(module_of(splits).val_dataloader())
    seen = Counter(id for batch in batches for id in batch.ids)
    assert seen == Counter(utterance.id for utterance in dev.utterances)
    tasks = [utterance.task for utterance in dev.utterances]
    fixed = fixed_batches(tasks, dev.num_frames, 65)
    assert [set(batch.ids) for batch in batches] == [ids(dev, batch) for batch in fixed]
