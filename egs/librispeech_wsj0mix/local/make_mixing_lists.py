#!/usr/bin/env python3
"""Draw the mixing lists of all splits: who speaks with whom, in which noise, how loud.

The noise clips of train become a folder of sources besides, which training mixes anew.
"""

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from librispeech import Speech, check_speakers, find_all_speech, find_root, find_speech
from mixing_lists import (
    NOISE_LISTS,
    OFFSET_RATE,
    SPEAKER_LISTS,
    NoiseLine,
    SpeakerLine,
    write_list,
)
from settings import (
    SPLITS,
    DataSettings,
    add_settings,
    check_disjoint,
    load_settings,
)

from aio_toolkit.arguments import command_parser, parse
from aio_toolkit.data.audio import read_header
from aio_toolkit.data.resampling import resampled_length
from aio_toolkit.data.source_dir import Source, write_source_dir
from aio_toolkit.errors import AioError, cli

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg")
# ESC clips are named fold-recording-take; takes of one recording sound alike, so that no two splits
# may share one.
_ESC_NAME = re.compile(r"\d-(\d+)-[A-Z](-\d+)?")
# Clips last a few seconds, and the mixer starts over at their end: any place will do.
_LARGEST_OFFSET = 5 * OFFSET_RATE


@dataclass(frozen=True)
class Pool:
    """The speech that the mixtures of a split draw from.

    Attributes:
        speech: the utterances.
        root: folder that the paths in the lists start from.
    """

    speech: Sequence[Speech]
    root: Path

    def path(self, speech: Speech) -> str:
        """The path of an utterance in a list."""
        # Extra speech lies outside the root, and Path.relative_to knows no `..`.
        relative = os.path.relpath(speech.path.resolve(), self.root.resolve())
        path = Path(relative).as_posix()
        if path.split() != [path]:
            found = f"{speech.path}: white space in the path, which mixing lists cannot hold"
            raise AioError(f"{found}. Rename the folder.")
        return path


@cli
def main() -> None:
    """Write `mix_2_spk_*.txt` and, where there is noise, `noise_*.tsv`."""
    parser = command_parser(__doc__)
    parser.add_argument(
        "--librispeech", type=Path, required=True, help="the tree, or the folder above it"
    )
    parser.add_argument("--extra_speech", type=Path, help="another tree, whose speakers join train")
    parser.add_argument("--noise", type=Path, help="folder of noise clips")
    parser.add_argument("--lists", type=Path, required=True, help="folder of the lists to write")
    parser.add_argument(
        "--noise_data",
        type=Path,
        required=True,
        help="folder to write, of train's clips",
    )
    add_settings(parser)
    args = parse(parser)

    settings = load_settings(args.config)
    speech = gather_speech(args.librispeech, args.extra_speech, settings)
    subsets = [item.partition(":")[0] for item in settings.train.sets]
    root = find_root(args.librispeech, subsets)
    clips = split_noise(args.noise, settings) if args.noise else {}
    for index, split in enumerate(SPLITS):
        pool = Pool(speech[split], root)
        # A generator per list, so that more of one does not change another.
        rng = np.random.default_rng([settings.seed, index, 0])
        pairs = draw_pairs(pool, settings, split, rng)
        _write_or_remove(args.lists / SPEAKER_LISTS[split], pairs)

        rng = np.random.default_rng([settings.seed, index, 1])
        noisy = draw_noisy(pool, clips.get(split, []), settings, split, rng)
        _write_or_remove(args.lists / NOISE_LISTS[split], noisy)
    if clips:
        write_source_dir(args.noise_data, noise_sources(args.noise, clips["train"], args.fs))


def gather_speech(
    librispeech: Path,
    extra: Path | None,
    settings: DataSettings,
) -> dict[str, list[Speech]]:
    """The speech of each split; AioError where splits share a speaker."""
    splits = settings.splits()
    speech = {name: find_speech(librispeech, split.sets) for name, split in splits.items()}
    if extra is not None:
        speech["train"] += find_all_speech(extra)
    check_speakers(speech)
    return speech


def draw_pairs(
    pool: Pool,
    settings: DataSettings,
    split: str,
    rng: np.random.Generator,
) -> list[SpeakerLine]:
    """Pairs of two different speakers at +x and -x dB; none where there is one speaker only.

    As in WSJ0-2mix (Hershey et al., 2016), x is uniform between 0 and 2.5 dB (`sep_snr_db`).
    """
    by_speaker = defaultdict(list)
    for one in pool.speech:
        by_speaker[one.speaker].append(one)
    speakers = sorted(by_speaker)
    count = settings.splits()[split].sep
    if count and len(speakers) < 2:
        reason = f"{split} has one speaker only"
        print(f"notice: {reason}, so there are no two-speaker mixtures (sep) in it")
        return []

    lines = []
    for _ in range(count):
        # Speakers first: those of whom there is much would otherwise be in most mixtures.
        pair = rng.choice(speakers, size=2, replace=False)
        first, second = (_pick(by_speaker[speaker], rng) for speaker in pair)
        # The digits of the official lists, so that the names of mixtures look alike.
        snr = f"{rng.uniform(0.0, settings.sep_snr_db):.5g}"
        lines.append(SpeakerLine(pool.path(first), snr, pool.path(second), f"-{snr}"))
    return lines


def draw_noisy(
    pool: Pool,
    clips: Sequence[str],
    settings: DataSettings,
    split: str,
    rng: np.random.Generator,
) -> list[NoiseLine]:
    """Utterances with a clip each, the SNR uniform within `enh_snr_db`; none without clips."""
    count = settings.splits()[split].enh if clips else 0
    lines = []
    for _ in range(count):
        speech = pool.path(_pick(pool.speech, rng))
        snr = f"{rng.uniform(*settings.enh_snr_db):.5g}"
        noise = _pick(clips, rng)
        offset = int(rng.integers(_LARGEST_OFFSET))
        lines.append(NoiseLine(speech, snr, noise, offset))
    return lines


def split_noise(directory: Path, settings: DataSettings) -> dict[str, list[str]]:
    """Deal the recordings of a folder of clips to the splits by `noise_shares`.

    Returns:
        By split, the paths of its clips from `directory`.

    Raises:
        AioError: there are fewer than three recordings.
    """
    recordings = _find_recordings(directory)
    if len(recordings) < len(SPLITS):
        suffixes = ", ".join(AUDIO_SUFFIXES)
        raise AioError(
            f"--noise {directory} has {len(recordings)} recordings ({suffixes}). "
            "Give at least three, as no split may share one with another."
        )
    names = sorted(recordings)
    rng = np.random.default_rng(settings.seed)
    order = [names[index] for index in rng.permutation(len(names))]

    total = sum(settings.noise_shares)
    ends = np.cumsum(np.array(settings.noise_shares) / total) * len(order)
    end_of_train, end_of_dev, _ = np.rint(ends).astype(int)
    # Every split gets one recording at least.
    first = int(np.clip(end_of_train, 1, len(order) - 2))
    second = int(np.clip(end_of_dev, first + 1, len(order) - 1))
    parts = {
        "train": order[:first],
        "dev": order[first:second],
        "test": order[second:],
    }
    check_disjoint(parts, "noise recording")
    clips = {}
    for split, part in parts.items():
        clips[split] = sorted(clip for name in part for clip in recordings[name])
    return clips


def noise_sources(directory: Path, clips: Sequence[str], sample_rate: int) -> list[Source]:
    """Clips of a folder as sources of noise; their lengths are at the recipe's rate."""
    sources = []
    for number, clip in enumerate(clips):
        path = directory.resolve() / clip
        header = read_header(str(path))
        assert header is not None, "a clip is a file"
        length = resampled_length(header.num_samples, header.sample_rate, sample_rate)
        sources.append(Source(f"noise-{number:05d}", "noise", str(path), length))
    return sources


def _find_recordings(directory: Path) -> dict[str, list[str]]:
    """The clips of every recording; a clip that is not of ESC is a recording of its own."""
    recordings = defaultdict(list)
    for path in sorted(directory.rglob("*")):
        if path.suffix.lower() in AUDIO_SUFFIXES:
            clip = path.relative_to(directory).as_posix()
            match = _ESC_NAME.fullmatch(path.stem)
            recording = match[1] if match else clip
            recordings[recording].append(clip)
    return recordings


def _pick[Item](items: Sequence[Item], rng: np.random.Generator) -> Item:
    index = int(rng.integers(len(items)))
    return items[index]


def _write_or_remove(path: Path, lines: Sequence[SpeakerLine] | Sequence[NoiseLine]) -> None:
    """Write a list; an empty one would be taken for damage, so that none is left."""
    if lines:
        write_list(path, lines)
    else:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
