"""Every odd kind of audio, as a file, from a pipe, in an archive and from a stream."""

import io
import subprocess
import sys

import numpy as np
import odd_audio
import pytest
from whole_audio import read_channels

from aio_toolkit.data.audio import open_audio, read_header
from aio_toolkit.data.audio_source import open_source
from aio_toolkit.errors import AioError

# What stands in archives as it does in files.
IN_ARCHIVES = [
    kind for kind in odd_audio.KINDS if kind not in ("vorbis", "opus", "mp3", "aiff", "w64")
]


@pytest.mark.parametrize("kind", odd_audio.KINDS)
def test_samples_are_those_of_another_reading(tmp_path, kind):
    path, samples_SC = odd_audio.make(kind, tmp_path)
    for spec in (str(path), f"cat {path} |"):
        found_SC, rate = read_channels(spec)
        assert rate == odd_audio.RATE
        assert found_SC.dtype == np.float32
        np.testing.assert_array_equal(found_SC, samples_SC)


@pytest.mark.parametrize("kind", odd_audio.KINDS)
def test_a_header_says_how_much_is_read(tmp_path, kind):
    path, samples_SC = odd_audio.make(kind, tmp_path)
    header = read_header(str(path))
    assert (header.num_samples, header.sample_rate) == (len(samples_SC), odd_audio.RATE)


@pytest.mark.parametrize("size", [1, 7, 1000, 10**6])
@pytest.mark.parametrize("kind", odd_audio.KINDS)
def test_blocks_make_up_the_whole(tmp_path, kind, size):
    path, samples_SC = odd_audio.make(kind, tmp_path)
    with open_audio(str(path)) as stream:
        blocks = list(stream.blocks(size))
        assert stream.num_channels == samples_SC.shape[1]
    assert {len(block_SC) for block_SC in blocks[:-1]} <= {size}
    assert 0 < len(blocks[-1]) <= size
    np.testing.assert_array_equal(np.concatenate(blocks), samples_SC)


@pytest.mark.parametrize("start", [1, 1999, 2500])
@pytest.mark.parametrize("kind", odd_audio.KINDS)
def test_blocks_may_begin_anywhere(tmp_path, kind, start):
    path, samples_SC = odd_audio.make(kind, tmp_path)
    with open_audio(str(path)) as stream:
        for _ in range(2):
            blocks = list(stream.blocks(300, start))
            np.testing.assert_array_equal(np.concatenate(blocks), samples_SC[start:])


@pytest.mark.parametrize("kind", IN_ARCHIVES)
def test_the_last_of_an_archive_is_read_as_the_file(tmp_path, kind):
    path, samples_SC = odd_audio.make(kind, tmp_path)
    ark = tmp_path / "a.ark"
    ark.write_bytes(b"first " + odd_audio.wav(b"\1\0" * 50) + b"last " + path.read_bytes())
    offset = ark.stat().st_size - path.stat().st_size
    found_SC, _ = read_channels(f"{ark}:{offset}")
    np.testing.assert_array_equal(found_SC, samples_SC)
    assert len(read_channels(f"{ark}:6")[0]) == 50


class _Once(io.RawIOBase):
    """A stream that comes once, as standard input does."""

    def __init__(self, content: bytes) -> None:
        self._rest = io.BytesIO(content)

    def readable(self):
        return True

    def readinto(self, buffer):
        return self._rest.readinto(buffer)


@pytest.mark.parametrize("kind", odd_audio.KINDS)
def test_a_stream_is_read_from_where_it_is(tmp_path, kind):
    path, samples_SC = odd_audio.make(kind, tmp_path)
    content = path.read_bytes()
    behind = io.BytesIO(b"before" + content)
    behind.seek(6)
    for stream in (io.BytesIO(content), behind, _Once(content)):
        np.testing.assert_array_equal(read_channels(stream)[0], samples_SC)


def test_a_stream_that_is_no_audio_is_told_by_its_name(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("hello, I am a text\n" * 9)
    with open(path, "rb") as file, pytest.raises(AioError, match=r"a\.txt is not audio"):
        read_channels(file)
    with pytest.raises(AioError, match="the stream is not audio"):
        read_channels(io.BytesIO(b"hello" * 99))


@pytest.mark.parametrize(("line", "says"), [("{} {}", "two columns"), ("{}.old", "Fix the path")])
def test_two_columns_are_guessed(tmp_path, line, says):
    path, _ = odd_audio.make("wav_pcm16", tmp_path)
    with pytest.raises(AioError, match=f"does not exist.*{says}"):
        read_channels(line.format(path, path))


def test_a_file_that_may_not_be_read_is_told(tmp_path, monkeypatch):
    path, _ = odd_audio.make("wav_pcm16", tmp_path)

    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with (
        pytest.raises(AioError, match=r"cannot be opened \(Permission denied\)"),
        open_source(str(path)),
    ):
        pass


def test_undecodable_shorten_is_told_in_a_line(tmp_path):
    path = tmp_path / "a.wv1"
    header = odd_audio.sphere_header(2501, "-s26 pcm,embedded-shorten-v2.00")
    path.write_bytes(header + b"ajkg\x02" + np.random.default_rng(0).bytes(9000))
    with pytest.raises(AioError, match=r"a\.wv1 is not audio that can be read.*Convert"):
        read_channels(str(path))


@pytest.mark.parametrize("sizes", [None, odd_audio.UNKNOWN_SIZES["streamed"]])
def test_a_long_file_does_not_stand_in_memory(tmp_path, sizes):
    path, num_samples = tmp_path / "long.wav", 44100 * 300
    path.write_bytes(odd_audio.wav(bytes(4 * num_samples), channels=2, sizes=sizes))
    short = tmp_path / "short.wav"
    short.write_bytes(odd_audio.wav(bytes(400000), channels=2, sizes=sizes))
    code = f"""
import re
from aio_toolkit.data.audio import open_audio

def count(path):
    with open_audio(path) as stream:
        return sum(len(block_SC) for block_SC in stream.blocks(2**16))

def most():
    return int(re.search(r"VmHWM:[^0-9]*([0-9]+)", open("/proc/self/status").read())[1])

count({str(short)!r})
before = most()
print(count({str(path)!r}), most() - before)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    total, kibibytes = map(int, done.stdout.split())
    assert total == num_samples
    # All of it would take 100 MB.
    assert kibibytes < 10_000
