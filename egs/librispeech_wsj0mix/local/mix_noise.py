#!/usr/bin/env python3
"""Noisy speech from lists noise_{tr,cv,tt}.tsv; the target is the clean speech."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mixing_lists import NOISE_LISTS, OFFSET_RATE, NoiseLine, read_list
from settings import SplitSettings
from speech_mixtures import PEAK, find_list_root, make_splits, mixing_parser, plain_name

from aio_toolkit.arguments import parse
from aio_toolkit.data.audio import read_audio
from aio_toolkit.data.mixtures import Mixture, mix, scale_to_snr
from aio_toolkit.errors import AioError, cli
from aio_toolkit.tasks import Task

SILENCE = 2.0**-15  # less than one step of 16 bits


@dataclass(frozen=True)
class NoisySpeech:
    """One noisy utterance, the target `speech`.

    Attributes:
        line: the line of the list.
        root: folder that the path of the speech starts from.
        noise_root: folder that the path of the noise starts from.
        max_samples: the utterance is cut to this length; None for no limit.
        task: that of the utterance.
        sample_rate: Hz of the utterance.
    """

    line: NoiseLine
    root: Path
    noise_root: Path
    max_samples: int | None
    task: Task
    sample_rate: int

    @property
    def id(self) -> str:
        """`enh-`, utterance, SNR and noise clip."""
        line = self.line
        speech = Path(line.speech).stem
        noise = Path(line.noise).stem
        return plain_name(f"{self.task.name}-{speech}_{line.snr}_{noise}")

    @property
    def speaker(self) -> str:
        """The speaker, by which LibriSpeech names its files."""
        utterance = Path(self.line.speech).stem
        speaker, *_ = utterance.split("-")
        return speaker

    def render(self) -> Mixture:
        """Add noise at the listed ratio of energies over the whole utterance."""
        speech_path = self.root / self.line.speech
        speech = read_audio(str(speech_path), self.sample_rate)
        speech = speech[: self.max_samples]

        clip_path = self.noise_root / self.line.noise
        clip = read_audio(str(clip_path), self.sample_rate)
        offset = self.line.offset * self.sample_rate // OFFSET_RATE
        noise = loop_clip(clip, len(speech), offset)
        # Silence has no level that could be set.
        if not noise.any():
            raise AioError(f"noise clip {clip_path} is silent. Remove it.")
        snr_db = float(self.line.snr)
        background = scale_to_snr(speech, noise, snr_db)
        return mix({"speech": speech}, background, peak=PEAK)


def loop_clip(clip: np.ndarray, num_samples: int, offset: int) -> np.ndarray:
    """A piece of a clip (S,) that starts over at its end; silence around the clip does not count.

    Clips of the ESC sets are padded with silence to five seconds. A piece that still is silent, in
    the middle of a clip, is replaced by the one at the clip's first sound.

    Args:
        clip: where the piece comes from.
        num_samples: the piece's length.
        offset: sample to start at, counted from the first sound.

    >>> loop_clip(np.array([0.0, 0.1, 0.2, 0.3, 0.0]), 4, offset=1).tolist()
    [0.2, 0.3, 0.1, 0.2]
    """
    loud = np.flatnonzero(np.abs(clip) > SILENCE)
    if len(loud) == 0:
        return np.zeros(num_samples, dtype=clip.dtype)
    first, last = loud[0], loud[-1]
    sound = clip[first : last + 1]

    places = np.arange(num_samples)
    piece = np.take(sound, offset + places, mode="wrap")
    peak = np.abs(piece).max()
    if peak > SILENCE:
        return piece
    return np.take(sound, places, mode="wrap")


@cli
def main() -> None:
    """Write the noisy utterances of all splits and their data dirs."""
    parser = mixing_parser(__doc__)
    parser.add_argument("--noise", type=Path, required=True, help="folder of noise clips")
    args = parse(parser)
    noise_root = args.noise.resolve()

    def _read_jobs(
        path: Path, split: SplitSettings, task: Task
    ) -> tuple[list[NoisySpeech], dict[str, Path]]:
        lines = read_list(path, NoiseLine.parse)
        root = find_list_root(args.root, lines[0].speech)
        length = split.mix_samples(args.fs)
        jobs = [NoisySpeech(line, root, noise_root, length, task, args.fs) for line in lines]
        return jobs, {"root": root, "noise": noise_root}

    make_splits(args, "enh", NOISE_LISTS, _read_jobs)


if __name__ == "__main__":
    main()
