"""Folders of sources, and the sources that a split has."""

import pytest
from tiny import ALL, utterance

from aio_toolkit.data.datadir import write_data_dir
from aio_toolkit.data.source_dir import Source, SourceFolders, write_source_dir
from aio_toolkit.errors import AioError

RAIN, HUM = Source("b", "rain", "1.wav", 900), Source("a", "hum", "2.wav", 800)


@pytest.fixture
def folders(tmp_path) -> SourceFolders:
    write_source_dir(tmp_path / "noise", [RAIN, HUM])
    split = [utterance("asr", "asr-1", 9, "ann"), utterance("sound", "sound-1", 5, absent=1)]
    write_data_dir(tmp_path / "train", split, ALL)
    return SourceFolders(tmp_path, ALL, 16000)


def test_a_folder_comes_back_sorted(folders):
    assert folders.read("noise") == [HUM, RAIN]


def test_recordings_of_a_task_of_text_are_sources(folders):
    assert folders.read("train:asr") == [Source("asr-1", "ann", "none.wav", 9 * 320)]


def test_targets_of_a_task_of_audio_are_sources(folders):
    found = folders.read("train:sound")
    assert [source.part for source in found] == ["sound1", "sound2"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("rooms", "no folder .*rooms of sources 'rooms'. Run stage 1"),
        ("train:tags", "unknown task 'tags'. Known tasks: asr"),
        ("train:music", "has no utterance of task 'music'"),
    ],
)
def test_what_is_not_there_is_named(folders, spec, message):
    with pytest.raises(AioError, match=message):
        folders.read(spec)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("utt2spk", "a hum\n", "b is not in both utt2spk and wav.scp"),
        ("utt2num_samples", "a 800\nb 0\n", "b has '0' samples"),
        ("utt2num_samples", None, "utt2num_samples is missing"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused(folders, name, content, message):
    path = folders.data / "noise" / name
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(AioError, match=message):
        folders.read("noise")
