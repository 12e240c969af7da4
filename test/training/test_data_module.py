"""Which batches a run gets: budgets in frames, from where it stands, for its rank."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tiny import ALL, CODEC, TASKS, named, write_dump

from aio_toolkit.answers.audio import CodecUnits
from aio_toolkit.answers.text import TextUnits
from aio_toolkit.config import load_config
from aio_toolkit.data.batching import fixed_batches
from aio_toolkit.data.sampler import (
    Draw,
    Material,
    Schedule,
    TaskBatchSampler,
)
from aio_toolkit.dump.split import Corpus
from aio_toolkit.errors import AioError
from aio_toolkit.training.data_module import TaskDataModule
from aio_toolkit.training.dataset import AnswerDataset, PretrainingDataset

SECONDS = {"asr": 1.5, "sep": 0.9, "st": 0.0}


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    corpus = Corpus(*write_dump(tmp_path_factory.mktemp("data_module")), ALL)
    return [PretrainingDataset(split, TASKS) for split in (corpus.train, corpus.dev)]


def module_of(splits, tasks=TASKS, **trainer) -> TaskDataModule:
    config = TaskDataModule.Config(seconds=SECONDS, dev_seconds=1.3)
    module = TaskDataModule(config, *splits, tasks, seed=3)
    alone = {"global_rank": 0, "world_size": 1, "accumulate_grad_batches": 1}
    module.trainer = SimpleNamespace(**{"max_steps": 7, "global_step": 0, **alone, **trainer})
    return module


def sampler_of(train, num_batches: int, **options) -> TaskBatchSampler:
    """Batches by indices: 1.5 s of asr and 0.9 s of sep in each."""
    names = [utterance.task.name for utterance in train.utterances]
    material = Material(names, lengths(train), longest={}, hop=320)
    schedule = Schedule(num_batches, seed=3, **options)
    return TaskBatchSampler(material, {"asr": 24000, "sep": 14400}, schedule)


def lengths(dataset: PretrainingDataset) -> list[int]:
    return [utterance.num_samples for utterance in dataset.utterances]


def ids(train, indices: Iterable[int]) -> set[str]:
    return {train.utterances[index].id for index in indices}


def drawn(batch: list[Draw]) -> list[int]:
    return [draw.index for draw in batch]


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
    wanted = list(sampler_of(train, num_batches, **options))
    batches = list(loader)
    assert [set(batch.ids) for batch in batches] == [ids(train, drawn(batch)) for batch in wanted]
    assert [batch.number for batch in batches] == [batch[0].batch for batch in wanted]


@pytest.mark.parametrize("names", [["st", "sep", "music", "asr"], ["asr", "sep"]])
def test_task_indices_are_those_of_the_model(splits, names):
    module = module_of(splits, tasks=named(*names))
    batch = next(iter(module.train_dataloader()))
    assert batch.task_B.tolist() == [names.index(id.split("-")[0]) for id in batch.ids]
    assert set(batch.rows) == {"asr", "sep"}


def test_validation_sees_every_utterance_once_in_fixed_batches(splits):
    dev = splits[1]
    batches = list(module_of(splits).val_dataloader())
    seen = Counter(id for batch in batches for id in batch.ids)
    assert seen == Counter(utterance.id for utterance in dev.utterances)
    names = [utterance.task.name for utterance in dev.utterances]
    fixed = fixed_batches(names, lengths(dev), 20800)
    assert [set(batch.ids) for batch in batches] == [ids(dev, batch) for batch in fixed]
    assert [batch.number for batch in batches] == list(range(len(fixed)))


def test_the_tasks_are_those_with_audio_in_a_batch_in_their_order():
    config = TaskDataModule.Config(seconds={"sep": 2.0, "asr": 0.0, "st": 0.5, "enh": 1.0})
    assert config.chosen(ALL) == named("sep", "st", "enh")


@pytest.mark.parametrize("seconds", [{}, {"asr": 0.0}])
def test_a_batch_of_no_task_is_an_error_of_the_configuration(seconds):
    with pytest.raises(AioError, match="'data.seconds' names no task. Give the seconds"):
        TaskDataModule.Config(seconds=seconds).chosen(ALL)


def test_a_task_that_the_recipe_does_not_have_is_named():
    with pytest.raises(AioError, match="unknown task 'tags'. Known tasks: asr, st, sep"):
        TaskDataModule.Config(seconds={"tags": 1.0}).chosen(ALL)


def test_a_mixing_rule_of_an_unknown_task_or_kind_is_named():
    with pytest.raises(AioError, match="mixing.sep.kind.*unknown kind 'speaker'.*'speakers'"):
        load_config(TaskDataModule.Config, None, ["mixing.sep.kind=speaker"])
    config = load_config(TaskDataModule.Config, None, ["seconds.sep=1", "mixing.sp.kind=speakers"])
    with pytest.raises(AioError, match="unknown task 'sp'"):
        config.rules(Corpus(Path("data"), Path("dump"), ALL), CODEC.grid)


def test_rules_of_tasks_that_are_not_trained_on_are_not_made():
    """Their sources need not be there."""
    config = load_config(TaskDataModule.Config, None, ["seconds.asr=1", "mixing.sep.kind=speakers"])
    assert config.rules(Corpus(Path("data"), Path("dump"), ALL), CODEC.grid) == {}


def test_examples_are_as_long_as_nearly_all_of_the_tasks_utterances(splits):
    train = splits[0]
    found = module_of(splits).example_seconds()
    assert found.keys() == {"asr", "sep"}
    for task, seconds in found.items():
        of_task = sorted(u.num_samples / 16000 for u in train.utterances if u.task.name == task)
        # The quantile lies between neighbours.
        place = 0.95 * (len(of_task) - 1)
        below, above = of_task[int(place)], of_task[min(int(place) + 1, len(of_task) - 1)]
        assert seconds == pytest.approx(below + (place - int(place)) * (above - below))


def test_examples_that_are_cut_are_no_longer_than_that(splits):
    module = module_of(splits)
    module.config = TaskDataModule.Config(seconds=SECONDS, segment_seconds=0.1)
    assert module.example_seconds() == {"asr": 0.1, "sep": 0.1}


@pytest.fixture
def answers(tmp_path, vocabulary):
    """Makes batches of words and of voices, as in stage 4."""
    corpus = Corpus(*write_dump(tmp_path), ALL)
    codec = CodecUnits(CODEC, torch.zeros(CODEC.num_codebooks, 1, 1), torch.zeros(1))
    units = {"text": TextUnits(vocabulary), "audio": codec}
    wanted = dict.fromkeys(units, frozenset())
    splits = [AnswerDataset(split, TASKS, units, wanted) for split in (corpus.train, corpus.dev)]

    def module(**config) -> TaskDataModule:
        return TaskDataModule(TaskDataModule.Config(seconds=SECONDS, **config), *splits, TASKS, 0)

    return module


def test_words_are_played_at_the_speeds_of_their_task(answers):
    module = answers(speed={"asr": [0.5, 2.0]})
    samples = set()
    for batch in module.first_batches(8):
        samples |= set(batch.samples_B[batch.rows["asr"]].tolist())
    lengths = {u.num_samples for u in module.train.utterances if u.task.name == "asr"}
    assert samples <= {2 * length for length in lengths} | {length / 2 for length in lengths}


@pytest.mark.parametrize(
    ("speed", "message"),
    [
        ({"sep": [0.9]}, "answers of task 'sep' can be cut. Its mixing rule may have one"),
        ({"asr": [0.0, 1.0]}, r"data\.speed\.asr: \[0.0, 1.0\] is not all from 0.5 to 2.0"),
    ],
)
def test_speeds_that_cannot_be_are_refused(answers, speed, message):
    with pytest.raises(AioError, match=message):
        answers(speed=speed).example_seconds()


def test_a_speed_of_an_unknown_task_is_refused():
    config = TaskDataModule.Config(seconds=SECONDS, speed={"asrr": [0.9]})
    with pytest.raises(AioError, match="unknown task 'asrr'. Known tasks: asr"):
        config.chosen(ALL)
