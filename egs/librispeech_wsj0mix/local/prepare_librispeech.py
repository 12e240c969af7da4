#!/usr/bin/env python3
"""Data dirs for speech recognition from LibriSpeech; their wav.scp names the FLAC files of the corpus."""

import argparse
from pathlib import Path

import numpy as np
from librispeech import Speech, find_speech, read_transcripts
from settings import SAMPLE_RATE, SplitSettings, check_disjoint, config_argument, load_settings

from aio_toolkit.data.audio import read_header, resampled_length
from aio_toolkit.data.datadir import Utterance, write_data_dir
from aio_toolkit.errors import AioError, cli
from aio_toolkit.progress import progress


@cli
def main() -> None:
    """Write one data dir per split."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--librispeech", type=Path, required=True, help="the tree, or the folder above it")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data dirs to write")
    config_argument(parser)
    args = parser.parse_args()

    settings = load_settings(args.config)
    speech = {name: find_speech(args.librispeech, split.sets) for name, split in settings.splits().items()}
    check_disjoint({name: {one.speaker for one in found} for name, found in speech.items()}, "speaker")
    for name, split in settings.splits().items():
        utterances = prepare_split(speech[name], split, settings.seed, name)
        write_data_dir(args.data / name, utterances)


def prepare_split(speech: list[Speech], split: SplitSettings, seed: int, name: str) -> list[Utterance]:
    """The utterances of a split that have a transcript and are short enough; what is left out is counted.

    Raises:
        AioError: nothing remains.
    """
    transcripts: dict[str, str] = {}
    for folder in sorted({one.path.parent for one in speech}):
        transcripts |= read_transcripts(folder)
    transcribed = [one for one in speech if one.id in transcripts]
    utterances = [_utterance(one, transcripts[one.id]) for one in progress(transcribed, f"asr {name}")]
    limit = np.inf if split.max_seconds is None else split.max_seconds * SAMPLE_RATE
    kept = [utterance for utterance in utterances if utterance.num_samples <= limit]
    chosen = kept if split.asr is None else _choose(kept, split.asr, seed)
    left_out = {
        "without transcript": len(speech) - len(transcribed),
        f"longer than {split.max_seconds} s": len(utterances) - len(kept),
        "over the count": len(kept) - len(chosen),
    }
    reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items() if count)
    print(f"asr {name}: {len(chosen)} utterances; left out: {reasons or 'none'}")
    if not chosen:
        raise AioError(f"no utterance remains for asr in {name}. Mend its sets or max_seconds in --config.")
    return chosen


def _utterance(speech: Speech, text: str) -> Utterance:
    header = read_header(str(speech.path))
    return Utterance(
        id=f"asr-{speech.id}",
        task="asr",
        speaker=speech.speaker,
        wav=str(speech.path.absolute()),
        num_samples=resampled_length(header.num_samples, header.sample_rate, SAMPLE_RATE),
        texts={"text": text.lower()},
    )


def _choose(utterances: list[Utterance], count: int, seed: int) -> list[Utterance]:
    order = np.random.default_rng(seed).permutation(len(utterances))
    return [utterances[index] for index in order[:count]]


if __name__ == "__main__":
    main()
