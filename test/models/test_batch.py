"""Collation of examples of different tasks."""

import random

import numpy as np
import pytest
import torch
from tiny import ALL, HOP, ODD, batch_of, named

from aio_toolkit.answers.audio_target import AudioTarget
from aio_toolkit.models.batch import Example, collate

TASKS = named("st", "asr", "sep", "music")
PLACE = {"st": 0, "asr": 1, "sep": 2, "music": 3}
# Odd lengths; in `TEXT_LONGEST` an audio task's rows are padded to those of a text task.
AUDIO_LONGEST = {"asr": [5, 2, 9], "sep": [3, 11], "music": [7]}
TEXT_LONGEST = {"st": [4, 13], "sep": [3, 11, 1]}
SOURCES = {"sep": 2, "music": 4}


def numbered(task: str, frames: int, number: int) -> Example:
    """An example whose every array says which it is of, and where."""
    time_T = 1000 * number + np.arange(1, frames + 1)
    wave_S = np.repeat(time_T, HOP).astype(np.float32)[: frames * HOP - ODD]
    codes_TQ = np.stack([time_T, time_T + 1, time_T + 2], 1)
    if task in SOURCES:
        of_sources = [codes_TQ + 100 * n for n in range(SOURCES[task])]
        target = AudioTarget(
            np.stack([wave_S + n for n in range(SOURCES[task])]), np.stack(of_sources)
        )
    else:
        target = 1000 * number + np.arange(number + 1)
    return Example(f"{task}-{number}", ALL[task], wave_S, codes_TQ, target)


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
        assert batch.samples_B[row] == len(example.wave_S)
        check_padded(batch.wave_BS[row], example.wave_S, 0, 0.0)
        check_padded(batch.codes_BTQ[row], example.codes_TQ, 0, -1)


@pytest.mark.parametrize("lengths", [AUDIO_LONGEST, TEXT_LONGEST])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_rows_of_a_task_and_its_targets_belong_together(lengths, seed):
    examples, by_id = shuffled(lengths, seed)
    batch = batch_of(examples, TASKS)
    assert batch.rows.keys() == batch.targets.keys() == lengths.keys()
    for task, rows in batch.rows.items():
        ids = batch.ids[rows]
        assert len(ids) == len(lengths[task])
        targets = batch.targets[task]
        for row, id in enumerate(ids):
            want = by_id[id].target
            assert by_id[id].task.name == task
            if task in SOURCES:
                check_padded(targets.wave_BNS[row], want.wave_NS, 1, 0.0)
                check_padded(targets.codes_BNTQ[row], want.codes_NTQ, 1, -1)
            else:
                check_padded(targets[row], want, 0, -1)


@pytest.mark.parametrize(("lengths", "longest"), [(AUDIO_LONGEST, 11), (TEXT_LONGEST, 13)])
def test_audio_targets_are_as_long_as_the_frames_of_the_batch(lengths, longest):
    batch = batch_of(examples_of(lengths), TASKS)
    num_samples = longest * HOP - ODD
    assert batch.wave_BS.shape[1] == num_samples
    for task in lengths.keys() & SOURCES.keys():
        of_sources = len(lengths[task]), SOURCES[task]
        assert batch.targets[task].codes_BNTQ.shape == (*of_sources, longest, 3)
        assert batch.targets[task].wave_BNS.shape == (*of_sources, num_samples)


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
    codes = [batch.targets[task].codes_BNTQ for task in SOURCES]
    integers = (batch.codes_BTQ, batch.task_B, batch.samples_B, batch.targets["asr"], *codes)
    assert batch.wave_BS.dtype == torch.float32
    assert {tensor.dtype for tensor in integers} == {torch.int64}


def test_what_examples_lack_the_batch_lacks():
    wave_S, codes_TQ = np.ones(900, np.float32), np.ones((3, 4), np.int64)
    bare = batch_of([Example("asr-1", ALL["asr"], wave_S)], TASKS)
    assert bare.codes_BTQ is None
    assert bare.targets == {}
    with_codes = batch_of([Example("asr-1", ALL["asr"], wave_S, codes_TQ)], TASKS)
    assert with_codes.codes_BTQ is not None


def test_rows_without_codes_have_none():
    """As mixtures made on the fly: -1 all along, of inputs and of sources."""
    coded, fresh = numbered("sep", 4, 0), numbered("sep", 7, 1)
    fresh.codes_TQ = None
    fresh.target = AudioTarget(fresh.target.wave_NS)
    batch = batch_of([coded, fresh], TASKS)
    assert batch.codes_BTQ.shape[1] == 7
    check_padded(batch.codes_BTQ[0], coded.codes_TQ, 0, -1)
    assert (batch.codes_BTQ[1] == -1).all()
    codes_BNTQ = batch.targets["sep"].codes_BNTQ
    check_padded(codes_BNTQ[0], coded.target.codes_NTQ, 1, -1)
    assert (codes_BNTQ[1] == -1).all()


def test_batches_may_be_padded_further_with_their_answers_and_codes():
    examples = examples_of({"st": [4], "sep": [3, 11]})
    alone, padded = (collate(examples, TASKS, HOP, step) for step in (1, 5 * HOP))
    samples = alone.wave_BS.shape[1]
    assert padded.wave_BS.shape == (3, 15 * HOP)
    assert padded.codes_BTQ.shape[1] == 15
    assert padded.targets["sep"].wave_BNS.shape[-1] == 15 * HOP
    assert padded.targets["sep"].codes_BNTQ.shape[2] == 15
    assert torch.equal(padded.samples_B, alone.samples_B)
    assert torch.equal(padded.targets["st"], alone.targets["st"])
    assert torch.equal(padded.wave_BS[:, :samples], alone.wave_BS)
    assert torch.equal(padded.codes_BTQ[:, :11], alone.codes_BTQ)
    assert not padded.wave_BS[:, samples:].any()
    assert (padded.codes_BTQ[:, 11:] == -1).all()
