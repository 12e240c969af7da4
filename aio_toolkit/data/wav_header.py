"""The header of a WAV file: where its samples are, and how many there should be."""

import io
import struct
from dataclasses import dataclass
from typing import BinaryIO

# What stands for "until the end" where a program that writes into a pipe cannot know the length:
# all ones, the largest signed number, its neighbour (arecord), and sox's own.
_UNTIL_THE_END = (2**32 - 1, 2**31 - 1, 2**31, 0x7FFFF000)
_ADPCM = (0x0002, 0x0011)
_UNCOMPRESSED = (0x0001, 0x0003, 0x0006, 0x0007, 0xFFFE)


@dataclass(frozen=True)
class WavHeader:
    """What a WAV header says of the samples.

    Attributes:
        num_bytes: of samples; None where the header does not know it.
        num_bytes_there: from the first sample to the end of the file.
        block_size: bytes that are coded together, all channels of them.
        block_samples: samples of a channel in them; None where the coding does not tell.
    """

    num_bytes: int | None
    num_bytes_there: int
    block_size: int
    block_samples: int | None

    def samples_in(self, num_bytes: int) -> int:
        """Samples of a channel in so many bytes; 0 where that is unknown."""
        if self.block_samples is None or self.block_size == 0:
            return 0
        return num_bytes // self.block_size * self.block_samples


def read_wav_header(file: BinaryIO) -> WavHeader | None:
    """Read a header (RIFF, RIFX or RF64) from the start of a file; None where it is not complete.

    >>> import wave
    >>> with io.BytesIO() as file:
    ...     with wave.open(file, "wb") as wav:
    ...         wav.setparams((2, 2, 8000, 0, "NONE", ""))
    ...         wav.writeframes(bytes(400))
    ...     header = read_wav_header(file)
    >>> header.num_bytes, header.num_bytes_there, header.samples_in(400)
    (400, 400, 100)
    """
    end = file.seek(0, io.SEEK_END)
    file.seek(0)
    opening = file.read(12)
    if len(opening) < 12:
        return None
    order = ">" if opening[:4] == b"RIFX" else "<"
    size_of_file = struct.unpack(f"{order}4xI4x", opening)[0] + 8
    format_, size64 = b"", None
    while len(chunk := file.read(8)) == 8:
        id, size = struct.unpack(f"{order}4sI", chunk)
        start = file.tell()
        if id == b"data":
            break
        if id == b"fmt ":
            format_ = file.read(min(size, 20))
        if id == b"ds64" and len(sizes := file.read(16)) == 16:
            size_of_file, size64 = struct.unpack("<QQ", sizes)
            size_of_file += 8
        # Chunks begin at even places.
        file.seek(start + size + size % 2)
    else:
        return None
    if len(format_) < 16:
        return None

    tag, block_size = struct.unpack(f"{order}H10xH", format_[:14])
    if size64 is not None and size == 2**32 - 1:
        size = size64
    ends_as_told = size_of_file == end
    known = ends_as_told or not _stands_for_the_end(size, block_size, end - start)
    block_samples = _block_samples(tag, format_, order)
    return WavHeader(size if known else None, end - start, block_size, block_samples)


def _stands_for_the_end(size: int, block_size: int, there: int) -> bool:
    """Whether a size is none, but says that the samples go on until the file ends."""
    if size in (0, 2**64 - 1):
        return there > 0
    # Programs round it down to whole blocks.
    return any(0 <= end - size < max(1, block_size) for end in _UNTIL_THE_END)


def _block_samples(tag: int, format_: bytes, order: str) -> int | None:
    if tag in _UNCOMPRESSED:
        return 1
    if tag in _ADPCM and len(format_) == 20:
        return struct.unpack(f"{order}18xH", format_)[0]
    return None
