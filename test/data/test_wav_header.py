"""WAV headers: their chunks, their sizes, and what stands for none."""

import io
import struct
import wave

import odd_audio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aio_toolkit.data.wav_header import read_wav_header

CHUNKS = st.lists(st.tuples(st.sampled_from([b"LIST", b"fact", b"bext"]), st.binary(max_size=40)))


def _chunks(contents: list[tuple[bytes, bytes]], order: str) -> bytes:
    """Chunks, each at an even place."""
    return b"".join(
        struct.pack(f"{order}4sI", id, len(content)) + content + bytes(len(content) % 2)
        for id, content in contents
    )


@given(
    st.sampled_from([b"RIFF", b"RIFX", b"RF64"]),
    st.sampled_from(sorted(odd_audio.CODINGS)),
    st.integers(1, 5),
    st.integers(0, 40),
    CHUNKS,
    CHUNKS,
)
def test_samples_are_found_among_other_chunks(form, coding, channels, size, before, behind):
    block = channels * odd_audio.CODINGS[coding][1] // 8
    order = ">" if form == b"RIFX" else "<"
    rest = _chunks(behind, order)
    content = odd_audio.wav(
        bytes(size * block), coding, channels, None, form, _chunks(before, order), rest
    )
    header = read_wav_header(io.BytesIO(content))
    assert header.num_bytes == size * block
    assert header.num_bytes_there == size * block + size * block % 2 + len(rest)
    assert header.samples_in(header.num_bytes) == size


@pytest.mark.parametrize("sizes", odd_audio.UNKNOWN_SIZES.values())
def test_sizes_that_stand_for_none_are_none(sizes):
    header = read_wav_header(io.BytesIO(odd_audio.wav(bytes(40), sizes=sizes)))
    assert (header.num_bytes, header.num_bytes_there) == (None, 40)


@pytest.mark.parametrize("size", [2, 38, 42, 0x7FFFF000 - 2, 0x7FFFF000 + 2, 2**32 - 5])
def test_other_sizes_are_promises(size):
    header = read_wav_header(io.BytesIO(odd_audio.wav(bytes(40), sizes=(36, size))))
    assert (header.num_bytes, header.num_bytes_there) == (size, 40)


def test_a_size_is_believed_if_the_file_is_as_long_as_it_says():
    empty = odd_audio.wav(b"", behind=b"LIST" + bytes(8))
    assert read_wav_header(io.BytesIO(empty)).num_bytes == 0


def test_python_writes_headers_that_are_read():
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setparams((3, 3, 44100, 0, "NONE", ""))
        written.writeframes(bytes(9 * 77))
    header = read_wav_header(file)
    assert (header.num_bytes, header.samples_in(header.num_bytes)) == (9 * 77, 77)


@pytest.mark.parametrize("kept", [12, 16, 30, 36, 40, 43])
def test_a_header_that_ends_early_is_none(kept):
    assert read_wav_header(io.BytesIO(odd_audio.wav(bytes(40))[:kept])) is None


def test_samples_without_a_format_are_none():
    content = b"RIFF\0\0\0\0WAVE" + struct.pack("<4sI", b"data", 4) + bytes(4)
    assert read_wav_header(io.BytesIO(content)) is None
