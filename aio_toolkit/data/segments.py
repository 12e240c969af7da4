"""Stretches of recordings: the `segments` of a Kaldi dir, and `#t=` behind the name of a recording.

`a.wav#t=1.5,3.25` is what `a.wav` holds from 1.5 s to 3.25 s, `a.wav#t=1.5` all from 1.5 s on
(Media Fragments URI 1.0, W3C 2012, section 4.2.1). Letters: S samples, s samples of a piece.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aio_toolkit.data.decoder import Decoder
from aio_toolkit.data.tables import Problems, Table, read_table
from aio_toolkit.errors import AioError

SEGMENTS = "segments"
_SECONDS = r"\d+(?:\.\d+)?"
_STRETCH = re.compile(rf"(?P<recording>.+)#t=(?P<start>{_SECONDS})(?:,(?P<end>{_SECONDS}))?")
# Seconds by which a segment may end behind its recording, as Kaldi's `extract-segments` has it.
OVERSHOOT = 0.5


@dataclass(frozen=True)
class Stretch:
    """A stretch of a recording.

    Attributes:
        start: where it begins, in seconds.
        end: where it ends, in seconds; None is the end of the recording.
    """

    start: float
    end: float | None = None

    def name(self, recording: str) -> str:
        """What a stretch of a recording is called.

        >>> Stretch(1.5, 3.25).name("a.wav"), Stretch(2).name("cat a.wav |")
        ('a.wav#t=1.5,3.25', 'cat a.wav |#t=2')
        """
        times = [self.start] if self.end is None else [self.start, self.end]
        return f"{recording}#t={','.join(map(_plain, times))}"


def split_stretch(spec: str) -> tuple[str, Stretch | None]:
    """A recording and its stretch, if no more is meant. An existing file of that name is a file.

    >>> split_stretch("a.wav#t=1.5,3")
    ('a.wav', Stretch(start=1.5, end=3.0))
    >>> split_stretch("a.wav")
    ('a.wav', None)
    """
    match = _STRETCH.fullmatch(spec)
    if match is None or Path(spec).is_file():
        return spec, None
    end = match["end"]
    return match["recording"], Stretch(float(match["start"]), None if end is None else float(end))


class Segment(Decoder):
    """A stretch of what another decoder reads; AioError where the recording does not reach it."""

    def __init__(self, decoder: Decoder, stretch: Stretch, name: str) -> None:
        self.sample_rate, self.num_channels = decoder.sample_rate, decoder.num_channels
        self.may_hold_nan, self.cut_off = decoder.may_hold_nan, decoder.cut_off
        self._decoder, self._name = decoder, name
        self._first = round(stretch.start * decoder.sample_rate)
        self._end = None if stretch.end is None else round(stretch.end * decoder.sample_rate)
        if self._end is not None and self._end <= self._first:
            raise AioError(f"{name} ends before it begins. Fix its times.")
        if decoder.num_samples is not None:
            self._check_end(decoder.num_samples)
            end = decoder.num_samples
            self._end = end if self._end is None else min(self._end, end)
            self.num_samples = self._end - self._first

    def pieces(self, size: int, start: int) -> Iterator[np.ndarray]:
        """Pieces of the recording, of which the last is cut where the stretch ends."""
        here = self._first + start
        for piece in self._decoder.pieces(size, here):
            if self._end is not None and here + len(piece) >= self._end:
                yield piece[: self._end - here]
                return
            here += len(piece)
            yield piece
        self._check_end(here)

    def ends_as_told(self) -> bool:
        """Whether the recording does."""
        return self._decoder.ends_as_told()

    def _check_end(self, num_samples: int) -> None:
        """Refuse a stretch that a recording of that length does not have."""
        wanted = self._first + 1
        if self._end is not None:
            wanted = max(wanted, self._end - round(OVERSHOOT * self.sample_rate))
        if num_samples < wanted:
            seconds = num_samples / self.sample_rate
            problem = f"the recording of {self._name} ends after {seconds:.2f} s"
            raise AioError(f"{problem}. Fix the times, or drop the utterance.")


def cut_recordings(directory: Path, recordings: Table, problems: Problems) -> Table:
    """The waves of a data dir: its recordings, or what its `segments` cut out of them.

    Args:
        directory: the data dir; lines of its `segments` are `id recording start end`, in seconds,
            an end of -1 being that of the recording.
        recordings: its `wav.scp`.
        problems: gets what is wrong with `segments`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, SEGMENTS).write_text("ann-1 ann 0.5 2\\nann-2 ann 2 -1\\n")
    ...     cut_recordings(Path(folder), {"ann": "ann.wav"}, Problems(folder))
    {'ann-1': 'ann.wav#t=0.5,2', 'ann-2': 'ann.wav#t=2'}
    """
    if not (directory / SEGMENTS).is_file():
        return recordings
    waves = {}
    for id, line in read_table(directory / SEGMENTS, problems).items():
        try:
            recording, stretch = _parse(line)
        except ValueError:
            remedy = "Write 'id recording start end', times in seconds"
            problems.add(f"{SEGMENTS}: {id} has '{line}'. {remedy}.")
            continue
        if recording not in recordings:
            remedy = "Add the recording, or remove the line."
            problems.add(f"{SEGMENTS}: {id} is of '{recording}', not in wav.scp. {remedy}")
            continue
        waves[id] = stretch.name(recordings[recording])
    return waves


def _parse(line: str) -> tuple[str, Stretch]:
    """Recording and stretch; ValueError where a line has other columns or impossible times."""
    recording, *times = line.split()
    start, end = map(float, times)
    if end == -1 and 0 <= start < math.inf:
        return recording, Stretch(start)
    if not 0 <= start < end < math.inf:
        raise ValueError
    return recording, Stretch(start, end)


def _plain(seconds: float) -> str:
    """A number without an exponent.

    >>> _plain(2.0), _plain(0.00001), _plain(1234567.25)
    ('2', '0.00001', '1234567.25')
    """
    return f"{seconds:.9f}".rstrip("0").rstrip(".")
