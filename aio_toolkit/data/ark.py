"""Audio in Kaldi archives, at offsets into them: `file.ark:123`. Letters: S samples, C channels."""

import mmap
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from aio_toolkit.data.decoder import Decoder
from aio_toolkit.data.full_scale import to_full_scale
from aio_toolkit.errors import AioError

# Kaldi appends the range of rows to some offsets: `file.ark:123[0:99]`.
_ARK_OFFSET = re.compile(r"(?P<ark>.+):(?P<offset>\d+)(\[[\d:,]*\])?")
# How recordings begin that stand in an archive as they would in a file; and the next one, behind
# its key and a space.
_FILE = re.compile(rb"(RIFF|RIFX|RF64).{4}WAVE|fLaC\x00|NIST_1A\n", re.DOTALL)
_NEXT = re.compile(rb" (?:" + _FILE.pattern + rb")", re.DOTALL)


def is_ark_offset(spec: str) -> bool:
    """Whether `spec` points into a Kaldi archive. An existing file of that name takes precedence.

    >>> is_ark_offset("waves.ark:123"), is_ark_offset("waves.wav")
    (True, False)
    """
    if Path(spec).is_file():
        return False
    return _ARK_OFFSET.fullmatch(spec) is not None


def split_offset(spec: str) -> tuple[str, int]:
    """The archive, and the offset into it.

    >>> split_offset("waves.ark:123")
    ('waves.ark', 123)
    """
    match = _ARK_OFFSET.fullmatch(spec)
    assert match is not None, "the caller asks is_ark_offset first"
    return match["ark"], int(match["offset"])


def holds_file(spec: str, file: BinaryIO) -> bool:
    """Whether a recording stands at an offset as it would in a file, and all of it is meant."""
    if spec.endswith("]"):
        return False
    file.seek(split_offset(spec)[1])
    return _FILE.match(file.read(12)) is not None


def check_last(spec: str, file: BinaryIO) -> None:
    """Refuse a recording that does not tell where it ends, if others follow it in the archive."""
    _, offset = split_offset(spec)
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if _NEXT.search(content, offset) is None:
            return
    problem = "does not tell how long it is, and other recordings follow it"
    raise AioError(f"{spec} {problem}. Write the archive again from whole files.")


class ArkAudio(Decoder):
    """A recording that Kaldi's tools wrote as numbers."""

    def __init__(self, spec: str) -> None:
        samples, self.sample_rate = _load(spec)
        self._samples_SC = samples.reshape(len(samples), -1).astype(np.float32)
        self.num_samples, self.num_channels = self._samples_SC.shape
        self.may_hold_nan = True

    def pieces(self, size: int, start: int) -> Iterator[np.ndarray]:
        """All at once."""
        yield self._samples_SC[start:]


def _load(spec: str) -> tuple[np.ndarray, int]:
    """Samples of full scale 1, and their rate."""
    import kaldiio

    try:
        loaded = kaldiio.load_mat(spec)
    except Exception as error:  # kaldiio raises whatever its parsers raise
        reason = " ".join(str(error).split()) or type(error).__name__
        remedy = "Write the archive and its scp again."
        raise AioError(f"no audio can be read at {spec}: {reason}. {remedy}") from None
    if not isinstance(loaded, tuple):
        remedy = "Check that this is the right scp."
        raise AioError(f"{spec} holds a matrix without a sample rate, not audio. {remedy}")

    rate, samples = loaded
    return to_full_scale(samples), int(rate)
