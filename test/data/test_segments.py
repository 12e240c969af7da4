"""Stretches of recordings hold the samples that stand there, whatever holds the recording."""

import numpy as np
import odd_audio
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import ALL
from whole_audio import read_channels

from aio_toolkit.data.audio import read_audio, read_header, read_span
from aio_toolkit.data.datadir import Utterance, read_data_dir, write_data_dir
from aio_toolkit.data.digest import signature_of
from aio_toolkit.data.segments import Stretch, cut_recordings, split_stretch
from aio_toolkit.data.source_dir import Source, SourceFolders, write_source_dir
from aio_toolkit.data.tables import Problems
from aio_toolkit.data.validate import validate_data_dir
from aio_toolkit.errors import AioError

RATE = odd_audio.RATE


@pytest.fixture
def recording(tmp_path):
    """Two seconds of which each sample has a value of its own."""
    wave_S = (np.arange(2 * RATE) - RATE).astype(np.int16)
    soundfile.write(tmp_path / "ann.wav", wave_S, RATE)
    return tmp_path / "ann.wav", wave_S / np.float32(2**15)


@pytest.mark.parametrize("kind", odd_audio.KINDS)
def test_a_stretch_of_any_audio_is_the_same_part_of_all_of_it(tmp_path, kind):
    path, samples_SC = odd_audio.make(kind, tmp_path)
    for recording in (str(path), f"cat {path} |"):
        for first, last in [(0, 7), (700, 1900), (801, 802)]:
            name = Stretch(first / RATE, last / RATE).name(recording)
            found_SC, rate = read_channels(name)
            assert rate == RATE
            np.testing.assert_array_equal(found_SC, samples_SC[first:last])
        found_SC, _ = read_channels(f"{recording}#t=0.1")
        np.testing.assert_array_equal(found_SC, samples_SC[800:])
    header = read_header(f"{path}#t=0.1,0.2")
    assert (header.num_samples, header.sample_rate) == (800, RATE)


def test_a_stretch_of_what_is_in_an_archive(tmp_path, recording):
    path, wave_S = recording
    (tmp_path / "a.ark").write_bytes(b"ann " + path.read_bytes())
    found_S = read_audio(f"{tmp_path}/a.ark:4#t=0.5,0.75", RATE)
    np.testing.assert_array_equal(found_S, wave_S[4000:6000])
    assert read_header(f"{tmp_path}/a.ark:4#t=0.5,0.75") is None


@settings(max_examples=50, deadline=None)
@given(first=st.integers(0, 15998), size=st.integers(1, 20000), start=st.integers(0, 500))
def test_spans_of_stretches_are_counted_from_their_beginning(tmp_path_factory, first, size, start):
    path = tmp_path_factory.getbasetemp() / "count.wav"
    wave_S = (np.arange(16000) % 30011).astype(np.int16)
    if not path.is_file():
        soundfile.write(path, wave_S, RATE)
    last = min(first + size, 16000)
    name = Stretch(first / RATE, last / RATE).name(str(path))
    wanted_S = wave_S[first:last][start : start + 50] / np.float32(2**15)
    if len(wanted_S):
        found_S = read_span(name, RATE, start, len(wanted_S))
        np.testing.assert_array_equal(found_S, wanted_S)
    assert read_header(name).num_samples == last - first


def test_another_rate_is_that_of_the_stretch(recording):
    path, wave_S = recording
    assert len(read_audio(f"{path}#t=0.5,1.25", 2 * RATE)) == 2 * 6000


def test_a_stretch_may_end_a_little_behind_the_recording_and_not_more(recording):
    path, wave_S = recording
    for spec in (str(path), f"cat {path} |"):
        np.testing.assert_array_equal(read_audio(f"{spec}#t=1.75,2.5", RATE), wave_S[14000:])
        with pytest.raises(AioError, match=r"the recording of .*#t=1.75,2.51 ends after 2.00 s"):
            read_audio(f"{spec}#t=1.75,2.51", RATE)
        with pytest.raises(AioError, match=r"ends after 2.00 s. Fix the times"):
            read_audio(f"{spec}#t=2,2.25", RATE)
        with pytest.raises(AioError, match=r"ends after 2.00 s. Fix the times"):
            read_audio(f"{spec}#t=2", RATE)
    with pytest.raises(AioError, match="ends before it begins"):
        read_audio(f"{path}#t=1,0.5", RATE)


def test_a_file_that_is_called_like_a_stretch_is_a_file(tmp_path, recording):
    path, wave_S = recording
    odd = tmp_path / "odd.wav#t=0,1"
    odd.write_bytes(path.read_bytes())
    assert split_stretch(str(odd)) == (str(odd), None)
    assert read_header(str(odd)).num_samples == 2 * RATE


@given(st.floats(0, 1e6), st.none() | st.floats(0, 1e6))
def test_names_of_stretches_are_read_as_they_were_meant(start, end):
    recording, stretch = split_stretch(Stretch(start, end).name("a b.wav"))
    assert recording == "a b.wav" and stretch is not None
    assert abs(stretch.start - start) < 1e-8
    assert stretch.end == end if end is None else abs(stretch.end - end) < 1e-8


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("u ann 0.5", "u has 'ann 0.5'. Write 'id recording start end'"),
        ("u ann 0.5 1 A", "u has 'ann 0.5 1 A'"),
        ("u ann 1 0.5", "u has 'ann 1 0.5'"),
        ("u ann 1 1", "u has 'ann 1 1'"),
        ("u ann -1 1", "u has 'ann -1 1'"),
        ("u ann nan 1", "u has 'ann nan 1'"),
        ("u ann 0 inf", "u has 'ann 0 inf'"),
        ("u ann zero 1", "u has 'ann zero 1'"),
        ("u bob 0 1", "u is of 'bob', not in wav.scp. Add the recording"),
        ("u", "u has no value"),
    ],
)
def test_what_is_wrong_with_segments_is_named(tmp_path, line, message):
    (tmp_path / "segments").write_text(line + "\n")
    problems = Problems(str(tmp_path))
    cut_recordings(tmp_path, {"ann": "ann.wav"}, problems)
    (told,) = problems.messages[:1]
    assert told.startswith("segments") and message in told


def test_a_data_dir_with_segments_is_read_as_its_utterances(tmp_path, recording):
    """Also where they have the ids of their recordings, which would pass for whole ones."""
    path, wave_S = recording
    files = {
        "wav.scp": f"ann {path}\n",
        "segments": "ann ann 0.25 0.5\nann-2 ann 1 -1\n",
        "utt2task": "ann asr\nann-2 asr\n",
        "utt2spk": "ann ann\nann-2 ann\n",
        "utt2num_samples": "ann 2000\nann-2 8000\n",
        "text": "ann good\nann-2 morning\n",
        "reco2dur": "ann 2.0\n",
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    validate_data_dir(tmp_path, ALL, RATE)
    first, second = read_data_dir(tmp_path, ALL)
    np.testing.assert_array_equal(read_audio(first.wav, RATE), wave_S[2000:4000])
    np.testing.assert_array_equal(read_audio(second.wav, RATE), wave_S[8000:])

    (tmp_path / "utt2num_samples").write_text("ann 2001\nann-2 8000\n")
    with pytest.raises(AioError, match="has 2000 samples at 8000 Hz, utt2num_samples says 2001"):
        validate_data_dir(tmp_path, ALL, RATE)


def test_writing_a_data_dir_leaves_no_segments_behind_that_would_cut_again(tmp_path):
    (tmp_path / "segments").write_text("a a 0 1\n")
    utterance = Utterance("a", ALL["asr"], "ann", "a.wav#t=0,1", RATE, {"text": "yes"})
    write_data_dir(tmp_path, [utterance], ALL)
    assert read_data_dir(tmp_path, ALL) == [utterance]


def test_folders_of_sources_have_segments_too(tmp_path):
    write_source_dir(tmp_path / "noise", [Source("rain", "rain", "rain.wav", RATE)])
    (tmp_path / "noise/segments").write_text("rain rain 1 2\n")
    (source,) = SourceFolders(tmp_path, ALL, RATE).read("noise")
    assert source.wav == "rain.wav#t=1,2"
    write_source_dir(tmp_path / "noise", [source])
    assert SourceFolders(tmp_path, ALL, RATE).read("noise") == [source]


def test_a_recording_that_changes_changes_its_stretches(recording):
    path, wave_S = recording
    before = signature_of(f"{path}#t=0,1")
    assert before != signature_of(f"{path}#t=0,1.5")
    soundfile.write(path, wave_S[:-1], RATE)
    assert before != signature_of(f"{path}#t=0,1")
