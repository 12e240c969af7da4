"""The two kinds of mixing lists as text: two speakers in the format of WSJ0-2mix, and speech with noise."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path

# The names of the official WSJ0-2mix lists.
SPEAKER_LISTS = {"train": "mix_2_spk_tr.txt", "dev": "mix_2_spk_cv.txt", "test": "mix_2_spk_tt.txt"}
NOISE_LISTS = {"train": "noise_tr.tsv", "dev": "noise_cv.tsv", "test": "noise_tt.tsv"}


@dataclass(frozen=True)
class SpeakerLine:
    """`path1 snr1 path2 snr2`: paths from the root of the corpus; levels in dB, kept as written."""

    path1: str
    snr1: str
    path2: str
    snr2: str

    @classmethod
    def parse(cls, line: str) -> "SpeakerLine":
        """Read a line; ValueError where it is not one."""
        made = cls(*_fields(line.split(), 4))
        float(made.snr1), float(made.snr2)
        return made

    def __str__(self) -> str:
        return f"{self.path1} {self.snr1} {self.path2} {self.snr2}"


@dataclass(frozen=True)
class NoiseLine:
    """`speech snr noise offset`, separated by tabs.

    Attributes:
        speech: path from the root of the speech corpus.
        snr: signal-to-noise ratio in dB, as written.
        noise: path from the root of the noise clips.
        offset: sample of the clip to start at, at 16 kHz, counted from where the clip is no longer silent.
    """

    speech: str
    snr: str
    noise: str
    offset: int

    @classmethod
    def parse(cls, line: str) -> "NoiseLine":
        """Read a line; ValueError where it is not one."""
        speech, snr, noise, offset = _fields(line.split("\t"), 4)
        float(snr)
        return cls(speech, snr, noise, int(offset))

    def __str__(self) -> str:
        return f"{self.speech}\t{self.snr}\t{self.noise}\t{self.offset}"


def read_list[Line](path: Path, parse: Callable[[str], Line]) -> list[Line]:
    """Read a list line by line; AioError names the line that `parse` refuses."""
    lines = []
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not text.strip():
            continue
        try:
            lines.append(parse(text))
        except ValueError as error:
            raise AioError(f"{path} line {number}: '{text}' is no line of a mixing list ({error}).") from None
    if not lines:
        raise AioError(f"{path} is empty. Make it again, or get the official list again.")
    return lines


def write_list(path: Path, lines: Iterable[SpeakerLine | NoiseLine]) -> None:
    """Write a list, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def _fields(found: list[str], count: int) -> list[str]:
    if len(found) != count:
        raise ValueError(f"{len(found)} fields, not {count}")
    return found
