"""Data dirs to be answered: little is needed, and what is wrong is named."""

import numpy as np
import pytest
from tiny import ALL

from aio_toolkit.data.inputs import read_inputs
from aio_toolkit.data.wav_writer import write_wav
from aio_toolkit.errors import AioError


@pytest.fixture
def data(tmp_path):
    """Two recordings at two rates, a third from a pipe."""
    write_wav(tmp_path / "a.wav", np.zeros(800), 8000)
    write_wav(tmp_path / "b.wav", np.zeros(1001), 16000)
    pipe = f"cat {tmp_path}/a.wav |"
    lines = f"a {tmp_path}/a.wav\nb {tmp_path}/b.wav\nc {pipe}\n"
    (tmp_path / "wav.scp").write_text(lines)
    (tmp_path / "utt2task").write_text("a asr\nb sep\nc st\n")
    return tmp_path


def test_lengths_are_looked_up_at_the_rate_of_the_model(data):
    found = read_inputs(data, ALL, 16000)
    assert [(u.id, u.task.name, u.num_samples) for u in found] == [
        ("a", "asr", 1600),
        ("b", "sep", 1001),
        ("c", "st", 1600),
    ]
    assert [u.speaker for u in found] == ["a", "b", "c"]
    assert all(u.answers == {} for u in found)


def test_segments_are_the_utterances_where_there_are_some(data):
    (data / "segments").write_text("x a 0.01 0.05\ny b 0 -1\n")
    (data / "utt2task").write_text("x asr\ny sep\n")
    found = read_inputs(data, ALL, 16000)
    assert [(u.id, u.num_samples) for u in found] == [("x", 640), ("y", 1001)]


def test_speakers_and_lengths_that_are_told_are_taken(data):
    (data / "utt2spk").write_text("a ann\nb bob\nc cy\n")
    (data / "utt2num_samples").write_text("a 5\nb 6\nc 7\n")
    found = read_inputs(data, ALL, 16000)
    assert [(u.speaker, u.num_samples) for u in found] == [("ann", 5), ("bob", 6), ("cy", 7)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("wav.scp", None, "has no wav.scp. Write one"),
        ("utt2task", None, "utt2task is missing. Write one"),
        ("utt2task", "a asr\nb sep\n", "c is in wav.scp but not in utt2task. Add the line"),
        ("utt2task", "a asr\nb sepp\nc st\n", "b has unknown task 'sepp'. Known tasks: asr"),
        ("wav.scp", "", "wav.scp lists no recordings"),
        ("segments", "a d 0 1\n", "segments: a is of 'd', not in wav.scp"),
    ],
)
def test_what_is_wrong_is_named(data, name, content, message):
    path = data / name
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(AioError, match=message):
        read_inputs(data, ALL, 16000)


def test_a_recording_that_is_not_there_is_named_with_its_id(data):
    (data / "b.wav").unlink()
    with pytest.raises(AioError, match="^b: audio file .*b.wav does not exist"):
        read_inputs(data, ALL, 16000)


def test_files_that_nobody_reads_are_named_and_those_that_say_nothing_new_are_not(data, capsys):
    for name in ("spk2utt", "text.de", "notes"):
        (data / name).write_text("a x\n")
    read_inputs(data, ALL, 16000)
    told = capsys.readouterr().out
    assert "files that no task reads: a.wav, b.wav, notes, text.de\n" in told


def test_a_third_speaker_that_no_task_reads_is_told_with_those_that_are(data, capsys):
    (data / "spk3.scp").write_text("b c.wav\n")
    read_inputs(data, ALL, 16000)
    told = capsys.readouterr().out
    assert "files that no task reads: a.wav, b.wav, spk3.scp. Of waves, tasks read wav.scp" in told
    assert "spk1.scp, spk2.scp" in told
