"""One channel of several, and channels that cancel each other."""

import numpy as np
import pytest

from aio_toolkit.data.audio import read_audio, read_span
from aio_toolkit.data.mono import _notice_cancelled, to_mono
from aio_toolkit.data.wav_writer import Subtype, write_wav

RNG = np.random.default_rng(0)
LEFT, RIGHT = RNG.uniform(-1, 1, (2, 5000)).astype(np.float32)


@pytest.fixture(autouse=True)
def _forget():
    _notice_cancelled.cache_clear()


def _mono(*channels: np.ndarray, size: int = 700) -> np.ndarray:
    samples_SC = np.stack(channels, 1)
    blocks = [samples_SC[first : first + size] for first in range(0, len(samples_SC), size)]
    return to_mono(blocks, "a.wav")


def test_the_mean_of_blocks_is_that_of_the_whole():
    for channels in ([LEFT], [LEFT, RIGHT], [LEFT, RIGHT, LEFT * RIGHT]):
        wanted_S = np.mean(np.stack(channels, 1).astype(np.float64), axis=1)
        np.testing.assert_allclose(_mono(*channels), wanted_S, atol=1e-7)
        np.testing.assert_array_equal(_mono(*channels), _mono(*channels, size=5000))


def test_nothing_is_nothing():
    assert to_mono([], "a.wav").shape == (0,)


@pytest.mark.parametrize("share", [1.0, -1.0])
def test_opposite_channels_are_told_once(capsys, share):
    for _ in range(2):
        _mono(LEFT, -share * LEFT)
    told = capsys.readouterr().err
    assert told.count("a.wav: its channels cancel each other") == (share > 0)


@pytest.mark.parametrize(("rest_db", "told"), [(-16, False), (-19.5, False), (-20.5, True)])
def test_a_mean_20_db_below_its_channels_is_told(capsys, rest_db, told):
    # Two channels of power 1 whose mean has the power of what they have in common.
    common = np.float32(10 ** (rest_db / 20))
    apart = np.sqrt(1 - common**2)
    orthogonal = RIGHT - LEFT * (LEFT @ RIGHT) / (LEFT @ LEFT)
    orthogonal *= np.linalg.norm(LEFT) / np.linalg.norm(orthogonal)
    _mono(common * LEFT + apart * orthogonal, common * LEFT - apart * orthogonal)
    assert ("cancel" in capsys.readouterr().err) == told


@pytest.mark.parametrize("channels", [2, 8, 32])
def test_channels_that_have_nothing_in_common_are_in_order(capsys, channels):
    _mono(*RNG.standard_normal((channels, 5000)).astype(np.float32))
    _mono(LEFT, *np.zeros((channels - 1, 5000), np.float32))
    _mono(np.zeros(9), np.zeros(9))
    assert capsys.readouterr().err == ""


def test_readers_name_the_file(capsys, tmp_path):
    path = str(tmp_path / "opposite.wav")
    write_wav(path, np.stack([LEFT, -LEFT], 1), 8000, Subtype.float_32)
    assert not read_audio(path, 8000).any()
    assert not read_span(path, 8000, 10, 20).any()
    assert capsys.readouterr().err.count(f"notice: {path}: its channels cancel") == 1
