"""The two kinds of mixing lists as text: two speakers, as in WSJ0-2mix, and speech with noise."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path

# The names of the official WSJ0-2mix lists.
SPEAKER_LISTS = {
    "train": "mix_2_spk_tr.txt",
    "dev": "mix_2_spk_cv.txt",
    "test": "mix_2_spk_tt.txt",
}
NOISE_LISTS = {"train": "noise_tr.tsv", "dev": "noise_cv.tsv", "test": "noise_tt.tsv"}
# Places in noise clips are counted at this rate in Hz, whatever that of the recipe is.
OFFSET_RATE = 16_000


@dataclass(frozen=True)
class SpeakerLine:
    """`path1 snr1 path2 snr2`: paths from the root of the corpus; levels in dB, kept as written.

    >>> line = "wsj0/si_tr_s/40n/40na010x.wav 1.9857 wsj0/si_tr_s/01x/01xo031w.wav -1.9857"
    >>> SpeakerLine.parse(line).snr2
    '-1.9857'
    """

    path1: str
    snr1: str
    path2: str
    snr2: str

    @classmethod
    def parse(cls, line: str) -> "SpeakerLine":
        """Read a line; ValueError where it is not one."""
        path1, snr1, path2, snr2 = _four(line.split())
        for level in (snr1, snr2):
            float(level)
        return cls(path1, snr1, path2, snr2)

    def __str__(self) -> str:
        first = f"{self.path1} {self.snr1}"
        second = f"{self.path2} {self.snr2}"
        return f"{first} {second}"


@dataclass(frozen=True)
class NoiseLine:
    """`speech snr noise offset`, separated by tabs.

    Attributes:
        speech: path from the root of the speech corpus.
        snr: signal-to-noise ratio in dB, as written.
        noise: path from the root of the noise clips.
        offset: sample of the clip to start at, at `OFFSET_RATE`, counted from where the clip is no
            longer silent.

    >>> NoiseLine.parse("dev-clean/1/2/1-2-3.flac\\t-3.25\\t001 - Dog bark/1-2-A.ogg\\t17").noise
    '001 - Dog bark/1-2-A.ogg'
    """

    speech: str
    snr: str
    noise: str
    offset: int

    @classmethod
    def parse(cls, line: str) -> "NoiseLine":
        """Read a line; ValueError where it is not one."""
        # Tabs, as paths of noise clips hold spaces.
        fields = line.split("\t")
        speech, snr, noise, offset = _four(fields)
        float(snr)
        return cls(speech, snr, noise, int(offset))

    def __str__(self) -> str:
        fields = [self.speech, self.snr, self.noise, str(self.offset)]
        return "\t".join(fields)


def read_list[Line](path: Path, parse: Callable[[str], Line]) -> list[Line]:
    """Read a list line by line; AioError names the line that `parse` refuses."""
    lines = []
    texts = path.read_text(encoding="utf-8").splitlines()
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            continue
        try:
            lines.append(parse(text))
        except ValueError as error:
            found = f"'{text}' is no line of a mixing list ({error})"
            raise AioError(f"{path} line {number}: {found}.") from None
    if not lines:
        raise AioError(f"{path} is empty. Make it again, or get the official list again.")
    return lines


def write_list(path: Path, lines: Iterable[SpeakerLine | NoiseLine]) -> None:
    """Write a list, atomically."""
    text = ""
    for line in lines:
        text += f"{line}\n"
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _four(fields: Sequence[str]) -> Sequence[str]:
    if len(fields) != 4:
        raise ValueError(f"{len(fields)} fields, not 4")
    return fields
