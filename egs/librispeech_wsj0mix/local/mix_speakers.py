#!/usr/bin/env python3
"""Two-speaker mixtures from lists in the format of WSJ0-2mix, mix_2_spk_{tr,cv,tt}.txt."""

import re
from dataclasses import dataclass
from pathlib import Path

from mixing_lists import SPEAKER_LISTS, SpeakerLine, read_list
from settings import SplitSettings
from speech_mixtures import PEAK, find_list_root, make_splits, mixing_parser, plain_name

from aio_toolkit.arguments import parse
from aio_toolkit.data.audio import read_audio
from aio_toolkit.data.mixtures import Mixture, mix, scale_to_snr
from aio_toolkit.errors import AioError, cli
from aio_toolkit.tasks import Task

_LIBRISPEECH_NAME = re.compile(r"(\d+)-\d+-\d+")


@dataclass(frozen=True)
class SpeakerPair:
    """One mixture of two speakers, the targets `spk1` and `spk2`.

    Attributes:
        line: the line of the list.
        root: folder that its paths start from.
        max_samples: the mixture is cut to this length; None for no limit.
        task: that of the mixture.
        sample_rate: Hz of the mixture.
    """

    line: SpeakerLine
    root: Path
    max_samples: int | None
    task: Task
    sample_rate: int

    @property
    def id(self) -> str:
        """`sep-` and the name that WSJ0-2mix gives the mixture: utterances and levels."""
        line = self.line
        first = Path(line.path1).stem
        second = Path(line.path2).stem
        name = f"{first}_{line.snr1}_{second}_{line.snr2}"
        return plain_name(f"{self.task.name}-{name}")

    @property
    def speaker(self) -> str:
        """Both speakers."""
        first = _speaker(self.line.path1)
        second = _speaker(self.line.path2)
        return f"{first}_{second}"

    def render(self) -> Mixture:
        """Cut both to the shorter ("min"), set the levels over what remains, add.

        The energies of the targets differ by snr1 - snr2 dB exactly. WSJ0-2mix sets the levels by
        the active speech level (ITU-T P.56) of the whole utterances instead, so there pauses and
        cut ends do not count.
        """
        line = self.line
        path1, path2 = self.root / line.path1, self.root / line.path2
        first = read_audio(str(path1), self.sample_rate)
        second = read_audio(str(path2), self.sample_rate)
        shorter = min(len(first), len(second))
        length = min(shorter, self.max_samples or shorter)
        first = first[:length]
        second = second[:length]

        snr_db = float(line.snr1) - float(line.snr2)
        second = scale_to_snr(first, second, snr_db)
        targets = {"spk1": first, "spk2": second}
        return mix(targets, peak=PEAK)


@cli
def main() -> None:
    """Write the mixtures of all splits and their data dirs."""
    args = parse(mixing_parser(__doc__))
    if not args.lists.is_dir():
        names = ", ".join(SPEAKER_LISTS.values())
        raise AioError(f"--lists {args.lists} is not a folder. Name the one with {names}.")

    def _read_jobs(
        path: Path, split: SplitSettings, task: Task
    ) -> tuple[list[SpeakerPair], dict[str, Path]]:
        lines = read_list(path, SpeakerLine.parse)
        root = find_list_root(args.root, lines[0].path1)
        length = split.mix_samples(args.fs)
        jobs = [SpeakerPair(line, root, length, task, args.fs) for line in lines]
        return jobs, {"root": root}

    make_splits(args, "sep", SPEAKER_LISTS, _read_jobs)


def _speaker(path: str) -> str:
    """LibriSpeech names its files by the speaker, WSJ0 its folders.

    >>> _speaker("dev-clean/84/121123/84-121123-0000.flac"), _speaker("si_tr_s/40n/40na010x.wav")
    ('84', '40n')
    """
    file = Path(path)
    match = _LIBRISPEECH_NAME.fullmatch(file.stem)
    return match[1] if match else file.parent.name


if __name__ == "__main__":
    main()
