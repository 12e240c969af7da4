"""Audio that only FFmpeg reads, as a recording, a header, a stretch; and what is no audio."""

import io

import av
import numpy as np
import pytest
from whole_audio import read_channels

from aio_toolkit.data.audio import (
    open_audio,
    read_audio,
    read_header,
    read_span,
)
from aio_toolkit.data.foreign_audio import open_foreign
from aio_toolkit.errors import AioError

RATE, SIZE = 44100, 30000
TIME_S = np.arange(SIZE) / RATE
WAVE_CS = np.stack([np.sin(2 * np.pi * 440 * TIME_S) / 3, np.sin(2 * np.pi * 1000 * TIME_S) / 5])


@pytest.fixture(scope="module")
def m4a(tmp_path_factory):
    """A stereo recording of a telephone."""
    path = tmp_path_factory.mktemp("foreign") / "a.m4a"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=RATE, layout="stereo", bit_rate=256_000)
        for start in range(0, SIZE, 1024):
            piece = np.ascontiguousarray(WAVE_CS[:, start : start + 1024].astype(np.float32))
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = RATE, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_both_channels_come_as_they_were_coded(m4a):
    samples_SC, rate = read_channels(str(m4a))
    assert rate == RATE
    assert samples_SC.dtype == np.float32
    middle = slice(5000, 25000)
    np.testing.assert_allclose(samples_SC[middle], WAVE_CS.T[middle], atol=0.02)


def test_its_length_is_that_of_what_is_read(m4a):
    samples_SC, _ = read_channels(str(m4a))
    header = read_header(str(m4a))
    assert (header.num_samples, header.sample_rate) == (len(samples_SC), RATE)


def test_a_stretch_is_that_of_the_whole(m4a):
    whole_S = read_audio(str(m4a), 16000)
    part_S = read_span(str(m4a), 16000, start=3000, num_samples=500)
    np.testing.assert_array_equal(part_S, whole_S[3000:3500])


def test_a_pipe_may_write_it_too(m4a):
    np.testing.assert_array_equal(read_audio(f"cat {m4a} |", 16000), read_audio(str(m4a), 16000))


@pytest.mark.parametrize("size", [1000, 1024, 7777])
def test_blocks_make_up_the_whole(m4a, size):
    samples_SC, _ = read_channels(str(m4a))
    with open_audio(str(m4a)) as stream:
        assert (stream.sample_rate, stream.num_channels) == (RATE, 2)
        for start in (0, 5000):
            blocks = list(stream.blocks(size, start))
            assert {len(block_SC) for block_SC in blocks[:-1]} == {size}
            np.testing.assert_array_equal(np.concatenate(blocks), samples_SC[start:])


def test_a_recording_that_was_cut_off_is_told(m4a, tmp_path):
    """Its table of contents stands before the sound, as web servers want it."""
    path = tmp_path / "a.m4a"
    with (
        av.open(str(m4a)) as old,
        av.open(str(path), "w", options={"movflags": "faststart"}) as new,
    ):
        copied = new.add_stream_from_template(old.streams.audio[0])
        for packet in old.demux(audio=0):
            if packet.dts is not None:
                packet.stream = copied
                new.mux(packet)
    assert len(read_channels(str(path))[0]) == len(read_channels(str(m4a))[0])
    content = path.read_bytes()
    for kept in range(len(content) // 2, len(content) // 2 + 200, 20):
        path.write_bytes(content[:kept])
        for read in (read_channels, read_header):
            with pytest.raises(AioError, match=r"a\.m4a is cut off or damaged: \d+ of 3\d{4} samp"):
                read(str(path))


def test_a_file_whose_name_is_an_address_is_a_file(m4a, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "concat:b.m4a"
    (tmp_path / name).write_bytes(m4a.read_bytes())
    np.testing.assert_array_equal(read_channels(name)[0], read_channels(str(m4a))[0])


def test_a_video_without_sound_is_told(silent_video):
    with pytest.raises(AioError, match=r"film.mp4 has no sound"):
        read_audio(str(silent_video), 16000)


@pytest.mark.parametrize(
    "content",
    [
        b"no audio at all",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{other}\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile '{other}'\n",
    ],
)
def test_text_is_no_audio_and_opens_no_other_file(tmp_path, m4a, content):
    path = tmp_path / "a.wav"
    (tmp_path / "other.m4a").write_bytes(m4a.read_bytes())
    path.write_bytes(content.replace(b"{other}", b"other.m4a"))
    with open(path, "rb") as file:
        assert open_foreign(file, "a.wav") is None
    with pytest.raises(AioError, match=r"a.wav is not audio that can be read"):
        read_audio(str(path), 16000)


def test_nothing_is_no_audio():
    assert open_foreign(io.BytesIO(b""), "nothing") is None
