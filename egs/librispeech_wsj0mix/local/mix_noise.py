#!/usr/bin/env python3
"""Noisy speech from lists of "speech, SNR, noise, offset"; the target is the clean speech."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mix_speakers import find_list_root
from mixing_lists import NOISE_LISTS, NoiseLine, read_list
from settings import SAMPLE_RATE, config_argument, load_settings
from speech_mixtures import Waves, make_mixtures, mix, plain_name

from aio_toolkit.data.audio import read_audio
from aio_toolkit.data.datadir import write_data_dir
from aio_toolkit.data.mixing import scale_to_snr
from aio_toolkit.errors import AioError, cli
from aio_toolkit.files import sha256_file

SILENCE = 2.0**-15  # less than one step of 16 bits


@dataclass(frozen=True)
class NoisySpeech:
    """One noisy utterance, the target `speech`.

    Attributes:
        line: the line of the list.
        root: folder that the path of the speech starts from.
        noise_root: folder that the path of the noise starts from.
        max_samples: the utterance is cut to this length; None for no limit.
    """

    line: NoiseLine
    root: Path
    noise_root: Path
    max_samples: int | None
    task = "enh"

    @property
    def id(self) -> str:
        """`enh-`, utterance, SNR and noise clip."""
        line = self.line
        return plain_name(f"enh-{Path(line.speech).stem}_{line.snr}_{Path(line.noise).stem}")

    @property
    def speaker(self) -> str:
        """The speaker, by which LibriSpeech names its files."""
        return Path(self.line.speech).stem.partition("-")[0]

    def render(self) -> Waves:
        """Add noise at the listed ratio of energies over the whole utterance."""
        speech = read_audio(str(self.root / self.line.speech), SAMPLE_RATE)[: self.max_samples]
        clip_path = self.noise_root / self.line.noise
        noise = loop_clip(read_audio(str(clip_path), SAMPLE_RATE), len(speech), self.line.offset)
        if not noise.any():
            raise AioError(f"noise clip {clip_path} is silent. Remove it.")
        return mix({"speech": speech}, scale_to_snr(speech, noise, float(self.line.snr)))


def loop_clip(clip: np.ndarray, num_samples: int, offset: int) -> np.ndarray:
    """A piece of `num_samples` of a clip (S,) that starts over at its end; silence around it does not count.

    Clips of the ESC sets are filled up with silence to five seconds. A piece that still is silent, in the
    middle of a clip, is replaced by the one at the clip's first sound.
    """
    loud = np.flatnonzero(np.abs(clip) > SILENCE)
    if len(loud) == 0:
        return np.zeros(num_samples, dtype=clip.dtype)
    sound = clip[loud[0] : loud[-1] + 1]
    piece = np.take(sound, offset + np.arange(num_samples), mode="wrap")
    if np.abs(piece).max() > SILENCE:
        return piece
    return np.take(sound, np.arange(num_samples), mode="wrap")


@cli
def main() -> None:
    """Write the noisy utterances of all splits and their data dirs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lists", type=Path, required=True, help="folder of noise_{tr,cv,tt}.tsv")
    parser.add_argument("--root", type=Path, required=True, help="LibriSpeech: the tree, or the folder above it")
    parser.add_argument("--noise", type=Path, required=True, help="folder of noise clips")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the audio to write")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data dirs to write")
    parser.add_argument("--nj", type=int, default=1, help="processes")
    config_argument(parser)
    args = parser.parse_args()

    settings = load_settings(args.config)
    for name, split in settings.splits().items():
        path = args.lists / NOISE_LISTS[name]
        if not path.exists():
            print(f"notice: {path} does not exist, so there is no speech enhancement (enh) in {name}")
            continue
        lines = read_list(path, NoiseLine.parse)
        root, noise_root = find_list_root(args.root, lines[0].speech), args.noise.resolve()
        jobs = [NoisySpeech(line, root, noise_root, split.mix_samples) for line in lines]
        stamp = {
            "list": sha256_file(path),
            "root": str(root),
            "noise": str(noise_root),
            "mix_seconds": split.mix_seconds,
        }
        write_data_dir(args.data / name, make_mixtures(jobs, args.corpus / name / "enh", stamp, args.nj))


if __name__ == "__main__":
    main()
