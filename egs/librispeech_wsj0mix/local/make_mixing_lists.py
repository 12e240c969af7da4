#!/usr/bin/env python3
"""Draw the mixing lists of all splits from a seed: who speaks with whom, in which noise, how loud."""

import argparse
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from librispeech import Speech, find_all_speech, find_root, find_speech
from mixing_lists import NOISE_LISTS, SPEAKER_LISTS, NoiseLine, SpeakerLine, write_list
from settings import SAMPLE_RATE, SPLITS, DataSettings, check_disjoint, config_argument, load_settings

from aio_toolkit.errors import AioError, cli

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg")
# ESC clips are named fold-recording-take; takes of one recording sound alike and must not be told apart.
_ESC_NAME = re.compile(r"\d-(\d+)-[A-Z](-\d+)?")


@cli
def main() -> None:
    """Write `mix_2_spk_*.txt` and, where there is noise, `noise_*.tsv`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--librispeech", type=Path, required=True, help="the tree, or the folder above it")
    parser.add_argument("--extra_speech", type=Path, help="another tree, whose speakers join train")
    parser.add_argument("--noise", type=Path, help="folder of noise clips")
    parser.add_argument("--lists", type=Path, required=True, help="folder of the lists to write")
    config_argument(parser)
    args = parser.parse_args()

    settings = load_settings(args.config)
    speech = gather_speech(args.librispeech, args.extra_speech, settings)
    root = find_root(args.librispeech, [item.partition(":")[0] for item in settings.train.sets])
    clips = split_noise(args.noise, settings) if args.noise else {}
    for index, split in enumerate(SPLITS):
        # A generator per list, so that more of one does not change another.
        pairs = draw_pairs(speech[split], root, settings, split, np.random.default_rng([settings.seed, index, 0]))
        _write_or_remove(args.lists / SPEAKER_LISTS[split], pairs)
        noisy = draw_noisy(
            speech[split],
            root,
            clips.get(split, []),
            settings,
            split,
            np.random.default_rng([settings.seed, index, 1]),
        )
        _write_or_remove(args.lists / NOISE_LISTS[split], noisy)


def gather_speech(librispeech: Path, extra: Path | None, settings: DataSettings) -> dict[str, list[Speech]]:
    """The speech of each split; AioError where splits share a speaker."""
    speech = {name: find_speech(librispeech, split.sets) for name, split in settings.splits().items()}
    if extra is not None:
        speech["train"] += find_all_speech(extra)
    check_disjoint({name: {one.speaker for one in found} for name, found in speech.items()}, "speaker")
    return speech


def draw_pairs(
    speech: Sequence[Speech], root: Path, settings: DataSettings, split: str, rng: np.random.Generator
) -> list[SpeakerLine]:
    """Pairs of two different speakers at +x and -x dB; none where there are fewer than two speakers.

    As in WSJ0-2mix (Hershey et al., 2016), x is uniform between 0 and 2.5 dB (`sep_snr_db`).
    """
    by_speaker = defaultdict(list)
    for one in speech:
        by_speaker[one.speaker].append(one)
    speakers = sorted(by_speaker)
    count = settings.splits()[split].sep
    if count and len(speakers) < 2:
        print(f"notice: {split} has one speaker only, so there are no two-speaker mixtures (sep) in it")
        return []
    lines = []
    for _ in range(count):
        pair = rng.choice(len(speakers), size=2, replace=False)
        first, second = (_pick(by_speaker[speakers[index]], rng) for index in pair)
        snr = f"{rng.uniform(0.0, settings.sep_snr_db):.5g}"
        lines.append(SpeakerLine(_relative(first.path, root), snr, _relative(second.path, root), f"-{snr}"))
    return lines


def draw_noisy(
    speech: Sequence[Speech],
    root: Path,
    clips: Sequence[str],
    settings: DataSettings,
    split: str,
    rng: np.random.Generator,
) -> list[NoiseLine]:
    """Utterances with a clip each and an SNR uniform within `enh_snr_db`; none where there are no clips."""
    count = settings.splits()[split].enh if clips else 0
    return [
        NoiseLine(
            speech=_relative(_pick(speech, rng).path, root),
            snr=f"{rng.uniform(*settings.enh_snr_db):.5g}",
            noise=_pick(clips, rng),
            # Any place of a clip of a few seconds; the mixer starts over at the end of the clip.
            offset=int(rng.integers(5 * SAMPLE_RATE)),
        )
        for _ in range(count)
    ]


def split_noise(directory: Path, settings: DataSettings) -> dict[str, list[str]]:
    """Deal the recordings of a folder of clips to the splits by `noise_shares`; paths are from `directory`.

    Raises:
        AioError: there are fewer than three recordings.
    """
    recordings = defaultdict(list)
    for path in sorted(directory.rglob("*")):
        if path.suffix.lower() in AUDIO_SUFFIXES:
            clip = path.relative_to(directory).as_posix()
            match = _ESC_NAME.fullmatch(path.stem)
            recordings[match[1] if match else clip].append(clip)
    if len(recordings) < len(SPLITS):
        raise AioError(
            f"--noise {directory} has {len(recordings)} recordings ({', '.join(AUDIO_SUFFIXES)}). "
            "Give at least three, as no split may share one with another."
        )
    names = sorted(recordings)
    order = [names[index] for index in np.random.default_rng(settings.seed).permutation(len(names))]
    shares = np.array(settings.noise_shares) / sum(settings.noise_shares)
    # Every split gets one recording at least.
    bounds = np.rint(np.cumsum(shares)[:2] * len(order)).astype(int)
    first = int(np.clip(bounds[0], 1, len(order) - 2))
    second = int(np.clip(bounds[1], first + 1, len(order) - 1))
    parts = {"train": order[:first], "dev": order[first:second], "test": order[second:]}
    check_disjoint(parts, "noise recording")
    return {split: sorted(clip for name in part for clip in recordings[name]) for split, part in parts.items()}


def _pick(items: Sequence, rng: np.random.Generator):
    return items[int(rng.integers(len(items)))]


def _relative(path: Path, root: Path) -> str:
    relative = Path(os.path.relpath(path.resolve(), root.resolve())).as_posix()
    if len(relative.split()) != 1:
        raise AioError(f"{path}: white space in the path, which mixing lists cannot hold. Rename the folder.")
    return relative


def _write_or_remove(path: Path, lines: list) -> None:
    if lines:
        write_list(path, lines)
    else:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
