"""Training examples of a dump in which every frame carries a number of its own."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import ALL, CODEC, NUM_FEATURES, named, sources_of, utterance, write_split

from aio_toolkit.answers.audio import CodecUnits
from aio_toolkit.answers.text import TextUnits
from aio_toolkit.data.sampler import Draw, draws_of
from aio_toolkit.dump.split import DumpDataset, Split
from aio_toolkit.errors import AioError
from aio_toolkit.training.dataset import AnswerDataset, PretrainingDataset

# Targets that are not there: a third sound is listed for some utterances only.
UTTERANCES = [
    utterance("asr", "asr-1", 31),
    utterance("st", "st-1", 23),
    utterance("sep", "sep-1", 29),
    utterance("sep", "sep-2", 11),
    utterance("enh", "enh-1", 27),
    utterance("sound", "sound-1", 25, absent=1),
    utterance("sound", "sound-2", 37),
    utterance("music", "music-1", 19),
]
Q = 3
SILENCE_Q = np.array([32001, 32002, 32003])
LENGTHS = {u.id: u.num_samples // 320 for u in UTTERANCES}
EVERY_TASK = list(ALL.values())


def numbers(index: int, source: int, frames: int) -> np.ndarray:
    """Codes (T, Q) of a source of utterance number `index`: all differ, and fit into int16."""
    time_T1 = np.arange(frames)[:, None]
    return 4000 * index + 700 * source + 10 * time_T1 + np.arange(Q)


def features(index: int, frames: int) -> np.ndarray:
    """Features (T, F) that say which utterance and frame they are of."""
    number_T1 = 100 * index + np.arange(frames, dtype=np.float32)[:, None]
    return np.tile(number_T1, NUM_FEATURES)


def codes_of(index: int) -> np.ndarray:
    """Codes (N, T, Q) of all sources of an utterance, silence where it has none."""
    u = UTTERANCES[index]
    T, residual = LENGTHS[u.id], u.task.options.residual
    answers = []
    for number, name in enumerate(sources_of(u.task), start=1):
        is_there = name in u.answers or name == residual
        answers.append(numbers(index, number, T) if is_there else np.stack([SILENCE_Q] * T))
    return np.stack(answers)


@pytest.fixture(scope="module")
def split(tmp_path_factory) -> Split:
    arrays: dict[str, dict[str, np.ndarray]] = {"feats": {}, "codes_wav": {}}
    for index, u in enumerate(UTTERANCES):
        T = LENGTHS[u.id]
        arrays["feats"][u.id] = features(index, T)
        arrays["codes_wav"][u.id] = numbers(index, 0, T)
        if u.task.output == "text":
            continue
        for source, codes_TQ in zip(sources_of(u.task), codes_of(index), strict=True):
            if not (codes_TQ == SILENCE_Q).all():
                arrays.setdefault(f"codes_{source}", {})[u.id] = codes_TQ
    return write_split(tmp_path_factory.mktemp("dataset"), "train", UTTERANCES, arrays)


@pytest.fixture
def units(vocabulary):
    codec = CodecUnits(CODEC, torch.zeros(Q, 1, 1), torch.from_numpy(SILENCE_Q))
    return {"text": TextUnits(vocabulary), "audio": codec}


@pytest.fixture
def dataset(split, units):
    """A function that makes a dataset with segments of so many frames."""

    def make(segment: int | None = None, tasks=EVERY_TASK) -> AnswerDataset:
        return AnswerDataset(split, tasks, units, segment)

    return make


def place(dataset: DumpDataset, id: str) -> int:
    return [u.id for u in dataset.utterances].index(id)


def example(dataset: DumpDataset, id: str, batch: int = 0):
    """An utterance as it comes in a batch of the run."""
    return dataset[Draw(place(dataset, id), batch, row=0)]


def draws(dataset: AnswerDataset, id: str, count: int) -> list:
    """An utterance as it comes in `count` passes over the data."""
    return [example(dataset, id, batch) for batch in range(count)]


@pytest.mark.parametrize("index", [2, 3, 4, 5, 6, 7])
def test_whole_examples_hold_the_codes_of_every_source_in_the_task_s_order(dataset, index):
    got = example(dataset(), UTTERANCES[index].id)
    np.testing.assert_array_equal(got.feats_TF, features(index, LENGTHS[UTTERANCES[index].id]))
    np.testing.assert_array_equal(got.target, codes_of(index))
    assert (got.id, got.task) == (UTTERANCES[index].id, UTTERANCES[index].task)


def test_an_absent_source_answers_with_the_codec_s_silence(dataset):
    got = example(dataset(), "sound-1")
    np.testing.assert_array_equal(got.target[2], np.stack([SILENCE_Q] * 25))
    cut = example(dataset(segment=8), "sound-1")
    np.testing.assert_array_equal(cut.target[2], np.stack([SILENCE_Q] * 8))


@pytest.mark.parametrize("index", [2, 4, 5, 6, 7])
def test_codes_are_cut_where_the_features_are(dataset, index):
    id, codes_NTQ = UTTERANCES[index].id, codes_of(index)
    feats_TF = features(index, LENGTHS[id])
    for got in draws(dataset(segment=7), id, 20):
        start = int(got.feats_TF[0, 0] - feats_TF[0, 0])
        np.testing.assert_array_equal(got.feats_TF, feats_TF[start : start + 7])
        np.testing.assert_array_equal(got.target, codes_NTQ[:, start : start + 7])


def test_segments_start_anywhere_and_equally_often(dataset):
    # sep-2 has 11 frames: segments of 8 start at 0, 1, 2 or 3.
    drawn = draws(dataset(segment=8), "sep-2", 400)
    first_T = features(3, 11)[:, 0].tolist()
    starts = Counter(first_T.index(got.feats_TF[0, 0]) for got in drawn)
    assert starts.keys() == {0, 1, 2, 3}
    # 100 expected, with a standard deviation of 8.7.
    assert all(65 < count < 135 for count in starts.values())


@pytest.mark.parametrize("segment", [11, 12, None])
def test_examples_no_longer_than_a_segment_stay_whole(dataset, segment):
    assert len(example(dataset(segment), "sep-2").feats_TF) == 11


def test_text_examples_are_never_cut_and_hold_their_own_language(dataset, vocabulary):
    for segment in (None, 5):
        asr, st = (example(dataset(segment), id) for id in ("asr-1", "st-1"))
        np.testing.assert_array_equal(asr.feats_TF, features(0, 31))
        np.testing.assert_array_equal(st.feats_TF, features(1, 23))
        assert asr.target.tolist() == vocabulary.encode("red cat sees dog")
        assert st.target.tolist() == vocabulary.encode("chat voit chien")


def test_lengths_are_known_before_reading(dataset):
    for segment in (None, 20):
        examples = dataset(segment)
        draws = draws_of(range(len(examples)), batch=0)
        read = [len(examples[draw].feats_TF) for draw in draws]
        assert examples.num_frames == read
    # sound-2 has 37 frames, asr-1 31.
    assert examples.num_frames[place(examples, "sound-2")] == 20
    assert examples.num_frames[place(examples, "asr-1")] == 31


def test_pre_training_reads_the_codes_of_the_input_of_every_task(split):
    dataset = PretrainingDataset(split, EVERY_TASK)
    for index, u in enumerate(UTTERANCES):
        got = example(dataset, u.id)
        np.testing.assert_array_equal(got.feats_TF, features(index, LENGTHS[u.id]))
        np.testing.assert_array_equal(got.codes_TQ, numbers(index, 0, LENGTHS[u.id]))
        assert got.target is None


def test_only_the_chosen_tasks_are_read(dataset):
    chosen = dataset(tasks=named("sep", "st"))
    assert [u.id for u in chosen.utterances] == ["sep-1", "sep-2", "st-1"]
    assert len(chosen) == 3
    assert chosen.num_frames == [29, 11, 23]


@pytest.mark.parametrize("name", ["utt2num_frames", "feats.scp", "codes_spk2.scp"])
def test_a_missing_file_of_the_dump_is_named(split, units, tmp_path, name):
    for path in split.dump.iterdir():
        if path.name != name:
            (tmp_path / path.name).symlink_to(path)
    with pytest.raises(AioError, match=rf"{name} does not exist. Run stage 2"):
        AnswerDataset(Split(split.data, Path(tmp_path), ALL), EVERY_TASK, units)
