"""Collation of examples of different tasks."""

import random

import numpy as np
import pytest
import torch
from tiny import ALL, batch_of, named

from aio_toolkit.models.batch import Example

TASKS = named("st", "asr", "sep", "music")
PLACE = {"st": 0, "asr": 1, "sep": 2, "music": 3}
# Odd lengths; in `TEXT_LONGEST` an audio task's rows are padded to those of a text task.
AUDIO_LONGEST = {"asr": [5, 2, 9], "sep": [3, 11], "music": [7]}
TEXT_LONGEST = {"st": [4, 13], "sep": [3, 11, 1]}
SOURCES = {"sep": 2, "music": 4}


def numbered(task: str, frames: int, number: int) -> Example:
    """An example whose every array says which it is of, and where."""
    time_T = 1000 * number + np.arange(1, frames + 1)
    feats_TF = np.stack([time_T, -time_T], 1).astype(np.float32)
    codes_TQ = np.stack([time_T, time_T + 1, time_T + 2], 1)
    if task in SOURCES:
        of_sources = [codes_TQ + 100 * n for n in range(SOURCES[task])]
        target = np.stack(of_sources)
    else:
        target = 1000 * number + np.arange(number + 1)
    return Example(f"{task}-{number}", ALL[task], feats_TF, codes_TQ, target)


def examples_of(lengths: dict[str, list[int]]) -> list[Example]:
    pairs = [(task, frames) for task, of_task in lengths.items() for frames in of_task]
    return [numbered(*pair, number) for number, pair in enumerate(pairs)]


def shuffled(lengths: dict[str, list[int]], seed: int) -> tuple[list[Example], dict[str, Example]]:
    examples = examples_of(lengths)
    random.Random(seed).shuffle(examples)
    return examples, {example.id: example for example in examples}


def check_padded(got: torch.Tensor, want: np.ndarray, axis: int, padding: float) -> None:
    """The array `want` stands first along the time axis, the rest is padding."""
    length = want.shape[axis]
    np.testing.assert_array_equal(got.narrow(axis, 0, length), want)
    rest = got.narrow(axis, length, got.shape[axis] - length)
    assert (rest == padding).all()


@pytest.mark.parametrize("lengths", [AUDIO_LONGEST, TEXT_LONGEST])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_row_keeps_its_own_features_codes_task_and_length(lengths, seed):
    examples, by_id = shuffled(lengths, seed)
    batch = batch_of(examples, TASKS)
    assert sorted(batch.ids) == sorted(by_id)
    for row, id in enumerate(batch.ids):
        example = by_id[id]
        assert batch.task_B[row] == PLACE[example.task.name]
        assert batch.lengths_B[row] == len(example.feats_TF)
        check_padded(batch.feats_BTF[row], example.feats_TF, 0, 0.0)
        check_padded(batch.codes_BTQ[row], example.codes_TQ, 0, -1)


@pytest.mark.parametrize("lengths", [AUDIO_LONGEST, TEXT_LONGEST])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_rows_of_a_task_and_its_targets_belong_together(lengths, seed):
    examples, by_id = shuffled(lengths, seed)
    batch = batch_of(examples, TASKS)
    assert batch.rows.keys() == batch.targets.keys() == lengths.keys()
    for task, rows in batch.rows.items():
        ids = batch.ids[rows]
        assert len(ids) == len(batch.targets[task]) == len(lengths[task])
        for id, target in zip(ids, batch.targets[task], strict=True):
            assert by_id[id].task.name == task
            check_padded(target, by_id[id].target, int(task in SOURCES), -1)


@pytest.mark.parametrize(("lengths", "longest"), [(AUDIO_LONGEST, 11), (TEXT_LONGEST, 13)])
def test_audio_targets_are_as_long_as_the_frames_of_the_batch(lengths, longest):
    batch = batch_of(examples_of(lengths), TASKS)
    assert batch.feats_BTF.shape[1] == longest
    for task in lengths.keys() & SOURCES.keys():
        shape = (len(lengths[task]), SOURCES[task], longest, 3)
        assert batch.targets[task].shape == shape


def test_text_targets_are_as_long_as_their_own_longest_sentence():
    # Numbers 0 to 2 are of asr; number n has n + 1 tokens.
    batch = batch_of(examples_of(AUDIO_LONGEST), TASKS)
    assert batch.targets["asr"].shape == (3, 3)


def test_rows_are_sorted_by_the_model_s_order_of_tasks():
    examples, _ = shuffled({"asr": [5, 2], "sep": [3], "st": [4]}, 0)
    assert batch_of(examples, TASKS).task_B.tolist() == [0, 1, 1, 2]
    batch = batch_of(examples, named("sep", "asr", "st"))
    assert batch.task_B.tolist() == [0, 1, 1, 2]
    assert batch.rows == {"sep": slice(0, 1), "asr": slice(1, 3), "st": slice(3, 4)}


def test_floats_and_integers_stay_what_they_are():
    batch = batch_of(examples_of(AUDIO_LONGEST), TASKS)
    integers = (batch.codes_BTQ, batch.task_B, batch.lengths_B, *batch.targets.values())
    assert batch.feats_BTF.dtype == torch.float32
    assert {tensor.dtype for tensor in integers} == {torch.int64}


def test_what_examples_lack_the_batch_lacks():
    feats_TF, codes_TQ = np.ones((3, 2), np.float32), np.ones((3, 4), np.int64)
    bare = batch_of([Example("asr-1", ALL["asr"], feats_TF)], TASKS)
    assert bare.codes_BTQ is None
    assert bare.targets == {}
    with_codes = batch_of([Example("asr-1", ALL["asr"], feats_TF, codes_TQ)], TASKS)
    assert with_codes.codes_BTQ is not None
