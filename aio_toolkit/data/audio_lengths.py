"""What files say of their own length: whether they do, whether it is true.

libsndfile takes what is there for all of a file that is cut off, and what an MP3 header estimates
for all of an MP3 file.
"""

import functools
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from aio_toolkit.data.wav_header import read_wav_header

# An Ogg page is at most this long.
_OGG_PAGE = 65307
# What may stand behind the last frame of an MP3: titles of other kinds than ID3v2.
_MP3_TAIL = 1024


def tells_length(file: BinaryIO) -> bool:
    """Whether a file says how long it is; if not, only decoding it to its end tells.

    Args:
        file: an open file, which is read from its start; anything that need not be audio.
    """
    head = _head(file)
    if _is_wav(head):
        header = read_wav_header(file)
        # What is no complete header, libsndfile says better.
        return header is None or header.num_bytes is not None
    if head.startswith(b"OggS"):
        return _ogg_tells_length(file)
    if head.startswith(b"ID3") or (head[:1] == b"\xff" and head[1:2] >= b"\xe0"):
        return _mp3_tells_length(file)
    return True


def lacking_wav(file: BinaryIO) -> tuple[int, int] | None:
    """The samples of a WAV file and those that it promises, where these are more.

    Args:
        file: as in `tells_length`.
    """
    header = read_wav_header(file) if _is_wav(_head(file)) else None
    if header is None or header.num_bytes is None:
        return None
    there, promised = map(header.samples_in, (header.num_bytes_there, header.num_bytes))
    return (there, promised) if there < promised else None


def ogg_is_whole(source: str | BinaryIO) -> bool:
    """Whether the last page of an Ogg file is complete.

    How much is missing, nothing in the file tells.
    """
    with _beside(source) as file:
        page = _last_ogg_page(file)
    # A header of 27 bytes, the last of which counts the sizes that follow it.
    sizes = page[27 : 27 + page[26]] if len(page) > 26 else b""
    return len(page) > 26 and len(page) >= 27 + page[26] + sum(sizes)


def told_samples(source: str | BinaryIO) -> int | None:
    """Samples of a channel that a SPHERE or AIFF header tells of, which libsndfile does not ask."""
    with _beside(source) as file:
        file.seek(0)
        head = file.read(4096)
    if head.startswith(b"NIST_1A"):
        found = re.search(rb"^sample_count -i (\d+)$", head, re.MULTILINE)
        return None if found is None else int(found[1])
    found = re.match(rb"FORM.{4}AIFF.*?COMM.{6}(.{4})", head, re.DOTALL)
    return None if found is None else int.from_bytes(found[1])


@contextmanager
def _beside(source: str | BinaryIO) -> Iterator[BinaryIO]:
    """A file for a look that whoever reads it does not notice."""
    if isinstance(source, str):
        with open(source, "rb") as file:
            yield file
    else:
        here = source.tell()
        yield source
        source.seek(here)


def _head(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read(12)


def _is_wav(head: bytes) -> bool:
    return head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:] == b"WAVE"


def _ogg_tells_length(file: BinaryIO) -> bool:
    """Whether it is one stream; of several behind each other libsndfile reads the first."""
    serial = slice(14, 18)
    last = _last_ogg_page(file)[serial]
    file.seek(0)
    return file.read(18)[serial] == last


def _last_ogg_page(file: BinaryIO) -> bytes:
    """What is there of the last page, and behind it."""
    file.seek(max(0, file.seek(0, io.SEEK_END) - 2 * _OGG_PAGE))
    tail = file.read()
    return tail[tail.rfind(b"OggS") :]


def _mp3_tells_length(file: BinaryIO) -> bool:
    """Whether the first frame holds the number of frames, and the file not another one behind."""
    file.seek(0)
    head = file.read(10)
    start = 0
    if head.startswith(b"ID3"):
        # Seven bits a byte.
        start = 10 + functools.reduce(lambda size, byte: size << 7 | byte, head[6:], 0)
    end = file.seek(0, io.SEEK_END)
    file.seek(start)
    found = re.search(rb"(?:Xing|Info)(.{4})(.{4})(.{4})", file.read(2048), re.DOTALL)
    if found is None:
        return False
    flags, num_frames, num_bytes = (int.from_bytes(field) for field in found.groups())
    if not flags & 1 or num_frames == 0:
        return False
    return not flags & 2 or end - start <= num_bytes + _MP3_TAIL
