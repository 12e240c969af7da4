"""Splits and corpora: which utterances are read, and of which codec the dump is."""

import dataclasses

import numpy as np
import pytest
from tiny import ALL, CODEC, named, utterance, write_split

from aio_toolkit.dump.split import Corpus, Split
from aio_toolkit.errors import AioError

LENGTHS = {"asr-1": 9, "asr-2": 4, "sep-1": 7}
UTTERANCES = [utterance(id.split("-")[0], id, frames) for id, frames in LENGTHS.items()]


@pytest.fixture
def split(tmp_path) -> Split:
    return write_split(tmp_path, "train", UTTERANCES, {"wav": {"asr-1": np.ones((9, 2))}})


def test_utterances_of_the_chosen_tasks_come_in_the_data_dir_s_order(split):
    assert split.utterances(named("sep", "asr")) == UTTERANCES
    assert split.utterances(named("sep")) == UTTERANCES[2:]


def test_a_task_that_the_split_lacks_is_named_unless_it_may_lack(split):
    with pytest.raises(AioError, match="no utterance of task music, st.*data.seconds"):
        split.utterances(named("asr", "st", "music"))
    with pytest.raises(AioError, match="no utterance of task st\\."):
        split.utterances(named("asr", "st", "music"), may_lack=named("music"))
    assert len(split.utterances(named("asr", "music"), may_lack=named("music"))) == 2


def test_the_tasks_that_are_present_come_in_the_recipe_s_order(split):
    assert split.present_tasks() == named("asr", "sep")


def test_a_dump_of_another_codec_is_refused(split):
    assert split.codec() == CODEC
    split.check_codec(CODEC, "the encoder")
    other = dataclasses.replace(CODEC, hop=640)
    with pytest.raises(AioError, match="train against the encoder.*hop is 320, expected 640"):
        split.check_codec(other, "the encoder")


def test_codes_are_found_by_the_name_of_the_source(split):
    assert list(split.codes("wav")) == ["asr-1"]
    with pytest.raises(AioError, match="codes_spk1.scp does not exist"):
        split.codes("spk1")


def test_a_corpus_has_its_splits_in_folders_of_their_names(tmp_path):
    corpus = Corpus(tmp_path / "data", tmp_path / "dump", ALL, "train_small", "valid")
    assert corpus.train == Split(tmp_path / "data/train_small", tmp_path / "dump/train_small", ALL)
    assert corpus.dev == corpus.split("valid")
    assert corpus.dev.dump == tmp_path / "dump" / "valid"
