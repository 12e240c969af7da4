"""What users have, as a recording: files, arrays, tensors; to a model's rate and back."""

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from aio_toolkit.errors import AioError
from aio_toolkit.hub.recording import Recording, to_recording


def test_a_file_comes_with_all_its_channels_its_rate_and_its_name(tmp_path):
    wave_SC = np.array([[0.5, -0.25], [0.125, 0.75], [0.0, 0.5]], np.float32)
    soundfile.write(tmp_path / "a.wav", wave_SC, 22050, subtype="FLOAT")
    recording = to_recording(tmp_path / "a.wav")
    np.testing.assert_array_equal(recording.wave_CS, wave_SC.T)
    assert (recording.rate, recording.name) == (22050, "a.wav")
    assert recording.wave_CS.dtype == np.float32


@pytest.mark.parametrize(
    ("x", "want"),
    [
        (np.array([0.5, -1.0]), [[0.5, -1.0]]),
        (torch.tensor([[0.5, -1.0], [0.25, 0.0]]), [[0.5, -1.0], [0.25, 0.0]]),
        (np.array([[1 << 14, -(1 << 15)]], np.int16), [[0.5, -1.0]]),
        (np.array([1 << 30, 0], np.int32), [[0.5, 0.0]]),
    ],
)
def test_arrays_and_tensors_are_floats_of_full_scale_one(x, want):
    recording = to_recording(x, rate=8000)
    assert recording.wave_CS.tolist() == want
    assert recording.wave_CS.dtype == np.float32


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


@given(
    num_samples=st.integers(1, 2000),
    rate=st.sampled_from([8000, 11025, 16000, 44100]),
    channels=st.integers(1, 3),
)
def test_there_and_back_every_recording_keeps_its_length_and_channels(num_samples, rate, channels):
    recording = Recording(np.zeros((channels, num_samples), np.float32), rate)
    wave_CS = recording.at(16000)
    assert wave_CS.shape == (channels, -(-num_samples * 16000 // rate))
    back_NCS = recording.back(torch.stack([wave_CS, wave_CS]), 16000)
    assert back_NCS.shape == (2, channels, num_samples)


def test_at_its_own_rate_a_recording_is_not_touched():
    wave_CS = np.random.default_rng(0).standard_normal((2, 50)).astype(np.float32)
    recording = Recording(wave_CS, 16000)
    assert torch.equal(recording.at(16000), torch.from_numpy(wave_CS))
    np.testing.assert_array_equal(recording.back(recording.at(16000)[None], 16000)[0], wave_CS)


def test_a_tone_is_the_same_tone_after_the_way_there_and_back():
    time_S = np.arange(44100) / 44100
    tone_S = np.sin(2 * np.pi * 440 * time_S).astype(np.float32)
    recording = Recording(tone_S[None], 44100)
    back_NCS = recording.back(recording.at(16000)[None], 16000)
    # Its ends are those of the filters.
    np.testing.assert_allclose(back_NCS[0, 0, 500:-500], tone_S[500:-500], atol=2e-3)
