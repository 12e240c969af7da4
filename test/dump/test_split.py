"""Splits and corpora: which utterances are read, and what a dump must hold of them."""

import numpy as np
import pytest
from tiny import ALL, NUM_FEATURES, PROVENANCE, named, utterance, write_split

from aio_toolkit.dump.split import Corpus, DumpDataset, Split, read_num_frames
from aio_toolkit.errors import AioError

LENGTHS = {"asr-1": 9, "asr-2": 4, "sep-1": 7}
UTTERANCES = [utterance(id.split("-")[0], id, frames) for id, frames in LENGTHS.items()]


@pytest.fixture
def split(tmp_path) -> Split:
    feats = {
        id: np.full((frames, NUM_FEATURES), frames, dtype=np.float32)
        for id, frames in LENGTHS.items()
    }
    return write_split(tmp_path, "train", UTTERANCES, {"feats": feats})


def test_utterances_of_the_chosen_tasks_come_in_the_data_dir_s_order(split):
    assert split.utterances(named("sep", "asr")) == UTTERANCES
    assert split.utterances(named("sep")) == UTTERANCES[2:]


def test_a_task_that_the_split_lacks_is_named(split):
    with pytest.raises(AioError, match="no utterance of task music, st.*data.seconds"):
        split.utterances(named("asr", "st", "music"))


def test_the_tasks_that_are_present_come_in_the_recipe_s_order(split):
    assert split.present_tasks() == named("asr", "sep")


def test_the_provenance_is_that_of_the_dump(split):
    assert split.provenance() == PROVENANCE


def test_a_corpus_has_its_splits_in_folders_of_their_names(tmp_path):
    corpus = Corpus(tmp_path / "data", tmp_path / "dump", ALL, "train_small", "valid")
    assert corpus.train == Split(tmp_path / "data/train_small", tmp_path / "dump/train_small", ALL)
    assert corpus.dev == corpus.split("valid")
    assert corpus.dev.dump == tmp_path / "dump" / "valid"


def test_a_dataset_knows_features_and_lengths_by_utterance(split):
    dataset = DumpDataset(split, named("asr", "sep"))
    assert len(dataset) == 3
    assert dataset.num_frames == [9, 4, 7]
    for u, frames in zip(dataset.utterances, dataset.num_frames, strict=True):
        assert dataset.feats[u.id].shape == (frames, NUM_FEATURES)
        assert (dataset.feats[u.id] == frames).all()


def test_only_the_chosen_tasks_are_read(split):
    dataset = DumpDataset(split, named("sep"))
    assert [u.id for u in dataset.utterances] == ["sep-1"]
    assert dataset.num_frames == [7]


def test_a_dump_of_fewer_utterances_than_the_data_dir_is_refused(split):
    path = split.dump / "utt2num_frames"
    path.write_text(path.read_text().replace("asr-2 4\n", ""))
    with pytest.raises(AioError, match="utt2num_frames lacks asr-2.*Run stage 2 again"):
        DumpDataset(split, named("asr"))


@pytest.mark.parametrize("name", ["utt2num_frames", "feats.scp"])
def test_a_missing_file_of_the_dump_is_named(split, name):
    (split.dump / name).unlink()
    with pytest.raises(AioError, match=rf"{name} does not exist. Run stage 2"):
        DumpDataset(split, named("asr"))


def test_the_numbers_of_frames_are_read_by_id(split):
    assert read_num_frames(split.dump) == LENGTHS
