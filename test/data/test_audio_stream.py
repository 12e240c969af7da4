"""Audio in blocks: their sizes, what is checked on the way, one channel of several."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from whole_audio import read_channels

from aio_toolkit.data.audio import open_audio
from aio_toolkit.data.audio_stream import AudioStream, check_samples
from aio_toolkit.data.decoder import Decoder, from_sample
from aio_toolkit.errors import AioError


class _Pieces(Decoder):
    """Samples in pieces of given sizes."""

    def __init__(self, samples_SC: np.ndarray, sizes: list[int]) -> None:
        self.sample_rate, self.num_channels = 8000, samples_SC.shape[1]
        self._pieces = np.split(samples_SC, np.cumsum(sizes))

    def pieces(self, size, start):
        return from_sample(iter(self._pieces), start)


def _noise(size: int, channels: int = 2) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (size, channels)).astype(np.float32)


@given(
    st.lists(st.integers(0, 30), max_size=12),
    st.integers(1, 40),
    st.integers(1, 40),
    st.data(),
)
def test_blocks_have_the_size_that_was_asked_for(sizes, rest, size, data):
    samples_SC = _noise(sum(sizes) + rest)
    start = data.draw(st.integers(0, len(samples_SC)))
    stream = AudioStream(_Pieces(samples_SC, sizes), "a.wav")
    found = list(stream.blocks(size, start))
    wanted = [samples_SC[first : first + size] for first in range(start, len(samples_SC), size)]
    assert len(found) == len(wanted)
    for found_SC, wanted_SC in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(found_SC, wanted_SC)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("size", [1, 7, 100])
def test_nan_is_told_by_its_place_in_the_file(bad, size):
    samples_SC = _noise(60)
    samples_SC[43, 1] = bad
    stream = AudioStream(_Pieces(samples_SC, [20, 20]), "a.wav", where="wav.scp: a")
    says = r"^wav\.scp: a: a\.wav holds NaN or Inf, first at sample 43\. "
    for start in (0, 5):
        with pytest.raises(AioError, match=says):
            list(stream.blocks(size, start))
    assert sum(map(len, stream.blocks(size, 44))) == 16


def test_nothing_is_told_if_nothing_was_skipped():
    stream = AudioStream(_Pieces(_noise(0), []), "a.wav", where="wav.scp: a")
    with pytest.raises(AioError, match=r"^wav\.scp: a: a\.wav holds no samples"):
        list(stream.blocks(10))
    assert list(AudioStream(_Pieces(_noise(3), []), "a.wav").blocks(10, 3)) == []


@pytest.mark.parametrize("channel", [1, 2, 3])
def test_one_channel_is_counted_from_one(tmp_path, channel):
    import soundfile

    samples_SC = _noise(500, channels=3)
    path = str(tmp_path / "a.wav")
    soundfile.write(path, samples_SC, 8000, subtype="FLOAT")
    with open_audio(path, channel=channel) as stream:
        assert stream.num_channels == 1
        found_S1 = np.concatenate(list(stream.blocks(33)))
    np.testing.assert_array_equal(found_S1, samples_SC[:, channel - 1 : channel])
    np.testing.assert_array_equal(read_channels(path, channel=channel)[0], found_S1)


@pytest.mark.parametrize("channel", [-1, 0, 3])
def test_a_channel_that_is_not_there_is_told(channel):
    says = rf"^here: a\.wav has no channel {channel}: it has 2, counted from 1"
    with pytest.raises(AioError, match=says):
        AudioStream(_Pieces(_noise(3), []), "a.wav", "here", channel)


def test_what_goes_wrong_with_the_blocks_is_not_told_of_the_file(tmp_path):
    from aio_toolkit.data.wav_writer import write_wav

    write_wav(tmp_path / "a.wav", _noise(10, 1)[:, 0], 8000)
    with (
        pytest.raises(AioError, match="^another matter$"),
        open_audio(str(tmp_path / "a.wav"), where="here") as stream,
    ):
        for _ in stream.blocks(5):
            raise AioError("another matter")


def test_blocks_of_nothing_are_refused():
    with pytest.raises(ValueError, match="blocks of 0"):
        next(AudioStream(_Pieces(_noise(3), []), "a.wav").blocks(0))


def test_samples_of_one_or_several_channels_are_checked():
    check_samples(np.zeros(3), "a")
    check_samples(np.zeros((3, 2)), "a")
    with pytest.raises(AioError, match="a holds no samples"):
        check_samples(np.zeros((0, 2)), "a")
    with pytest.raises(AioError, match="first at sample 1"):
        check_samples(np.array([[0, 0], [0, np.nan], [np.nan, 0]]), "a")
