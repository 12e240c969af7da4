"""What a model is asked about: a file, an array, a tensor, in as many channels as it has.

Letters: C channels, S samples.
"""

import itertools
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from aio_toolkit.data.audio import check_channel, check_samples, open_audio
from aio_toolkit.data.decoder import CutOff
from aio_toolkit.data.full_scale import to_full_scale
from aio_toolkit.data.mono import CANCEL, Cancelling
from aio_toolkit.errors import AioError

# What has no name of its own is called so in messages and files.
UNNAMED = "recording"
# Samples of a block, for arrays as for files: nothing in between depends on the length.
BLOCK = 2**16


@dataclass(frozen=True)
class Recording:
    """Audio as it came, to be heard once, from its beginning to its end.

    Attributes:
        blocks: all channels, (C, S) float32 each, one after the other.
        rate: Hz.
        name: of the file, or `UNNAMED`.

    >>> recording = to_recording(np.zeros((2, 70000)), rate=44100)
    >>> [block_CS.shape for block_CS in recording.blocks]
    [(2, 65536), (2, 4464)]
    """

    blocks: Iterable[np.ndarray]
    rate: int
    name: str = UNNAMED

    def twice(self) -> tuple["Recording", "Recording"]:
        """The recording for two who hear it; what lies between them is kept."""
        first, second = itertools.tee(self.blocks)
        return replace(self, blocks=first), replace(self, blocks=second)


def to_recording(
    x: Any, rate: int | None = None, channel: int | None = None, *, partial: bool = False
) -> Recording:
    """A recording of what a user has.

    Args:
        x: a path or an open file of bytes; or an array or tensor (S,) or (C, S), floats of full
            scale 1 or integers of their type's.
        rate: Hz of an array or tensor.
        channel: the only channel to be heard, counted from 1.
        partial: of a file that is cut off, take what is there, with a notice on stderr.

    Raises:
        AioError: a file cannot be read, an array has no rate, no samples, another shape, or NaN, or
            there is no such channel.

    >>> [block_CS] = to_recording(np.array([0, -16384], np.int16), rate=8000).blocks
    >>> block_CS.tolist()
    [[0.0, -0.5]]
    """
    if isinstance(x, str | Path) or hasattr(x, "read"):
        blocks = _blocks_of_file(x, channel, partial=partial)
        # The file is open from here on until its last block, or until nobody waits for it.
        stream = next(blocks)
        return Recording(blocks, stream.sample_rate, _name_of(x))
    wave_CS = _checked(x, rate, channel)
    assert rate is not None, "it has just been checked"
    starts = range(0, wave_CS.shape[1], BLOCK)
    blocks_SC = (wave_CS[:, start : start + BLOCK].T for start in starts)
    return Recording((block_SC.T for block_SC in _watched(blocks_SC, UNNAMED)), rate)


def stream_of(chunks: Iterable[Any], rate: int, channel: int | None = None) -> Recording:
    """A recording that is still going on: arrays or tensors (S,) or (C, S), as they come.

    >>> recording = stream_of([np.zeros(5), np.ones((1, 3))], rate=8000)
    >>> [block_CS.shape for block_CS in recording.blocks]
    [(1, 5), (1, 3)]
    """
    blocks_SC = (_checked(chunk, rate, channel).T for chunk in chunks)
    return Recording((block_SC.T for block_SC in _watched(blocks_SC, UNNAMED)), rate)


def _blocks_of_file(
    x: str | Path | BinaryIO, channel: int | None, *, partial: bool
) -> Iterator[Any]:
    """The open stream, then its blocks (C, S)."""
    source = str(x) if isinstance(x, Path) else x
    try:
        with open_audio(source, channel=channel, partial=partial) as stream:
            yield stream
            for samples_SC in _watched(stream.blocks(BLOCK), stream.name):
                yield np.ascontiguousarray(samples_SC.T)
    except CutOff as error:
        # Where nothing can be read, there is nothing to ask for.
        remedy = "Copy or make it again"
        if not partial:
            remedy += "; what is there is answered on request: --partial, in Python partial=True"
        raise AioError(f"{error.found}. {remedy}.") from None


def _watched(blocks: Iterable[np.ndarray], name: str) -> Iterator[np.ndarray]:
    """The blocks (S, C); at their end a notice on stderr, if models hear next to nothing of them.

    A model hears the mean of all channels, whatever its answer is then put on.
    """
    cancelling = Cancelling()
    for block_SC in blocks:
        if block_SC.shape[1] > 1:
            cancelling.add(block_SC, block_SC.mean(1))
        yield block_SC
    if cancelling.found:
        remedy = "Choose one of them: --channel 1, in Python channel=1"
        print(f"notice: {name}: {CANCEL}. {remedy}.", file=sys.stderr)


def _name_of(x: Any) -> str:
    return Path(x).name if isinstance(x, str | Path) else Path(getattr(x, "name", UNNAMED)).name


def _checked(x: Any, rate: int | None, channel: int | None) -> np.ndarray:
    """An array or tensor, or one channel of it, as (C, S) float32."""
    wave = x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else np.asarray(x)
    if rate is None:
        problem = "an array does not tell its sample rate"
        raise AioError(f"{UNNAMED}: {problem}. Give it: rate=16000.")
    if wave.ndim not in (1, 2):
        problem = f"the shape is {wave.shape}"
        raise AioError(f"{UNNAMED}: {problem}. Give (samples,) or (channels, samples).")
    wave_CS = np.atleast_2d(to_full_scale(wave)).astype(np.float32)
    if channel is not None:
        check_channel(channel, len(wave_CS), UNNAMED)
        wave_CS = wave_CS[channel - 1 : channel]
    check_samples(wave_CS.T, UNNAMED)
    return wave_CS
