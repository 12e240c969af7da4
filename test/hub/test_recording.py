"""What users have, as a recording: files, streams of bytes, arrays, tensors."""

import io

import numpy as np
import odd_audio
import pytest
import soundfile
import torch

from aio_toolkit.errors import AioError
from aio_toolkit.hub.recording import BLOCK, Recording, stream_of, to_recording


def whole(recording: Recording) -> np.ndarray:
    return np.concatenate([*recording.blocks], axis=1)


@pytest.fixture
def stereo(tmp_path):
    """Two channels, longer than a block."""
    wave_SC = np.random.default_rng(0).uniform(-1, 1, (BLOCK + 7, 2)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", wave_SC, 22050, subtype="FLOAT")
    return tmp_path / "a.wav", wave_SC.T


def test_a_file_comes_in_blocks_with_all_its_channels_its_rate_and_its_name(stereo):
    path, wave_CS = stereo
    recording = to_recording(path)
    blocks = [*recording.blocks]
    assert [block_CS.shape for block_CS in blocks] == [(2, BLOCK), (2, 7)]
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), wave_CS)
    assert (recording.rate, recording.name) == (22050, "a.wav")
    assert blocks[0].dtype == np.float32


def test_bytes_are_read_like_a_file(stereo):
    path, wave_CS = stereo
    recording = to_recording(io.BytesIO(path.read_bytes()))
    np.testing.assert_array_equal(whole(recording), wave_CS)
    assert recording.name == "recording"


@pytest.mark.parametrize("channel", [1, 2])
def test_one_channel_may_be_chosen(stereo, channel):
    path, wave_CS = stereo
    found_CS = whole(to_recording(path, channel=channel))
    np.testing.assert_array_equal(found_CS, wave_CS[channel - 1 : channel])


@pytest.mark.parametrize("channel", [1, 2])
def test_one_channel_of_an_array_may_be_chosen(stereo, channel):
    _, wave_CS = stereo
    found_CS = whole(to_recording(wave_CS, 8000, channel))
    np.testing.assert_array_equal(found_CS, wave_CS[channel - 1 : channel])
    with pytest.raises(AioError, match="recording has no channel 3: it has 2, counted from 1"):
        to_recording(wave_CS, 8000, channel=3)


def test_one_channel_of_chunks_may_be_chosen():
    chunks = [np.array([[0.25, 0.5], [0.0, 1.0]]), np.array([[0.125], [0.75]])]
    assert whole(stream_of(chunks, 8000, channel=2)).tolist() == [[0.0, 1.0, 0.75]]


def test_a_file_that_is_cut_off_is_refused_unless_what_is_there_is_asked_for(stereo, capsys):
    path, wave_CS = stereo
    size = wave_CS.shape[1]
    raw = wave_CS.T.astype("<f4").tobytes()
    content = odd_audio.wav(raw, "float", channels=2)
    path.write_bytes(content[:-81])
    with pytest.raises(AioError, match=rf"a.wav is cut off .* {size - 11} of {size} .*--partial"):
        to_recording(path)
    recording = to_recording(path, partial=True)
    np.testing.assert_array_equal(whole(recording), wave_CS[:, :-11])
    assert f"a.wav is cut off or damaged: {size - 11} of {size}" in capsys.readouterr().err
    path.write_bytes(content[:44])
    with pytest.raises(AioError, match=rf"damaged: 0 of {size} .* Copy or make it again\.$"):
        whole(to_recording(path, partial=True))


def test_two_who_hear_it_hear_the_same(stereo):
    path, wave_CS = stereo
    first, second = to_recording(path).twice()
    np.testing.assert_array_equal(whole(first), wave_CS)
    np.testing.assert_array_equal(whole(second), wave_CS)


@pytest.mark.parametrize(
    ("x", "want"),
    [
        (np.array([0.5, -1.0]), [[0.5, -1.0]]),
        (torch.tensor([[0.5, -1.0], [0.25, 0.0]]), [[0.5, -1.0], [0.25, 0.0]]),
        (np.array([[1 << 14, -(1 << 15)]], np.int16), [[0.5, -1.0]]),
        (np.array([1 << 30, 0], np.int32), [[0.5, 0.0]]),
        (np.array([192, 128], np.uint8), [[0.5, 0.0]]),
    ],
)
def test_arrays_and_tensors_are_floats_of_full_scale_one(x, want):
    (block_CS,) = to_recording(x, rate=8000).blocks
    assert block_CS.tolist() == want
    assert block_CS.dtype == np.float32


@pytest.mark.parametrize(
    ("x", "rate", "message"),
    [
        (np.zeros(5), None, "does not tell its sample rate. Give it: rate=16000"),
        (np.zeros((1, 2, 3)), 8000, r"the shape is \(1, 2, 3\)"),
        (np.zeros(0), 8000, "holds no samples"),
        (np.array([0.0, np.nan]), 8000, "NaN or Inf, first at sample 1"),
        ("nowhere.wav", None, "audio file nowhere.wav does not exist"),
    ],
)
def test_what_is_no_recording_is_refused(x, rate, message):
    with pytest.raises(AioError, match=message):
        to_recording(x, rate)


OPPOSITE = np.random.default_rng(1).uniform(-1, 1, 2 * BLOCK).astype(np.float32) * [[1], [-1]]
CANCEL = "its channels cancel each other: their mean is 20 dB or more below them"


def test_a_file_whose_channels_cancel_each_other_is_named_each_time_it_is_heard(tmp_path, capsys):
    soundfile.write(tmp_path / "a.wav", OPPOSITE.T, 8000, subtype="FLOAT")
    for _ in range(2):
        heard, kept = to_recording(tmp_path / "a.wav").twice()
        whole(heard)
        whole(kept)
        told = f"notice: {tmp_path}/a.wav: {CANCEL}. Choose one of them: --channel 1, in Python"
        assert capsys.readouterr().err.count(told) == 1


@pytest.mark.parametrize("channel", [None, 1])
def test_arrays_and_chunks_whose_channels_cancel_each_other_are_told(capsys, channel):
    whole(to_recording(OPPOSITE, 8000, channel))
    whole(stream_of([OPPOSITE[:, :77], OPPOSITE[:, 77:]], 8000, channel))
    assert capsys.readouterr().err.count(f"notice: recording: {CANCEL}") == 2 * (channel is None)


def test_channels_that_cancel_each_other_in_a_part_alone_are_in_order(capsys):
    whole(stream_of([OPPOSITE[:, :999], OPPOSITE[:1, :999].repeat(2, 0)], 8000))
    whole(to_recording(np.zeros((2, 99)), 8000))
    assert capsys.readouterr().err == ""


def test_chunks_are_checked_as_they_come():
    recording = stream_of(iter([np.zeros(3), np.array([np.inf])]), rate=8000)
    blocks = iter(recording.blocks)
    assert next(blocks).shape == (1, 3)
    with pytest.raises(AioError, match="NaN or Inf"):
        next(blocks)
