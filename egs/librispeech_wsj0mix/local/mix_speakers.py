#!/usr/bin/env python3
"""Two-speaker mixtures from lists in the format of WSJ0-2mix ("path1 snr1 path2 snr2")."""

import argparse
import re
from dataclasses import dataclass
from pathlib import Path

from mixing_lists import SPEAKER_LISTS, SpeakerLine, read_list
from settings import SAMPLE_RATE, config_argument, load_settings
from speech_mixtures import Waves, make_mixtures, mix, plain_name

from aio_toolkit.data.audio import read_audio
from aio_toolkit.data.datadir import write_data_dir
from aio_toolkit.data.mixing import scale_to_snr
from aio_toolkit.errors import AioError, cli
from aio_toolkit.files import sha256_file

_LIBRISPEECH_NAME = re.compile(r"(\d+)-\d+-\d+")


@dataclass(frozen=True)
class SpeakerPair:
    """One mixture of two speakers, the targets `spk1` and `spk2`.

    Attributes:
        line: the line of the list.
        root: folder that its paths start from.
        max_samples: the mixture is cut to this length; None for no limit.
    """

    line: SpeakerLine
    root: Path
    max_samples: int | None
    task = "sep"

    @property
    def id(self) -> str:
        """`sep-` and the name that WSJ0-2mix gives the mixture: utterances and levels."""
        line = self.line
        name = f"{Path(line.path1).stem}_{line.snr1}_{Path(line.path2).stem}_{line.snr2}"
        return plain_name(f"sep-{name}")

    @property
    def speaker(self) -> str:
        """Both speakers."""
        return f"{_speaker(self.line.path1)}_{_speaker(self.line.path2)}"

    def render(self) -> Waves:
        """Cut both to the shorter ("min"), set the levels over what remains, add.

        The energies of the targets differ by snr1 - snr2 dB exactly. WSJ0-2mix sets the levels by the active
        speech level (ITU-T P.56) of the whole utterances instead, so there pauses and cut ends do not count.
        """
        first, second = (read_audio(str(self.root / path), SAMPLE_RATE) for path in (self.line.path1, self.line.path2))
        length = min(len(first), len(second), self.max_samples or len(first))
        first, second = first[:length], second[:length]
        second = scale_to_snr(first, second, float(self.line.snr1) - float(self.line.snr2))
        return mix({"spk1": first, "spk2": second})


@cli
def main() -> None:
    """Write the mixtures of all splits and their data dirs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lists", type=Path, required=True, help="folder of mix_2_spk_{tr,cv,tt}.txt")
    parser.add_argument("--root", type=Path, required=True, help="folder that the paths start from, or next to it")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the audio to write")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data dirs to write")
    parser.add_argument("--nj", type=int, default=1, help="processes")
    config_argument(parser)
    args = parser.parse_args()

    settings = load_settings(args.config)
    if not args.lists.is_dir():
        raise AioError(f"--lists {args.lists} is not a folder. Name the one with {', '.join(SPEAKER_LISTS.values())}.")
    for name, split in settings.splits().items():
        path = args.lists / SPEAKER_LISTS[name]
        if not path.exists():
            print(f"notice: {path} does not exist, so there are no two-speaker mixtures (sep) in {name}")
            continue
        lines = read_list(path, SpeakerLine.parse)
        root = find_list_root(args.root, lines[0].path1)
        jobs = [SpeakerPair(line, root, split.mix_samples) for line in lines]
        stamp = {"list": sha256_file(path), "root": str(root), "mix_seconds": split.mix_seconds}
        write_data_dir(args.data / name, make_mixtures(jobs, args.corpus / name / "sep", stamp, args.nj))


def find_list_root(root: Path, listed: str) -> Path:
    """The folder that a listed path starts from: `root`, the one above, or `LibriSpeech` in it.

    Official lists start with `wsj0/`, so that both the folder `wsj0` and the one above it will do.

    Raises:
        AioError: the file is in none of them.
    """
    for candidate in (root, root.absolute().parent, root / "LibriSpeech"):
        if (candidate.resolve() / listed).is_file():
            return candidate.resolve()
    raise AioError(
        f"{listed}, which the mixing list names, is not in {root}. Name the folder that the list's paths "
        "start from; WSJ0 is needed as wav files in its original folders."
    )


def _speaker(path: str) -> str:
    """LibriSpeech names its files by the speaker, WSJ0 its folders (`wsj0/si_tr_s/40n/40na010x.wav`)."""
    match = _LIBRISPEECH_NAME.fullmatch(Path(path).stem)
    return match[1] if match else Path(path).parent.name


if __name__ == "__main__":
    main()
