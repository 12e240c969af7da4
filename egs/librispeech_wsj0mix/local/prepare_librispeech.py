#!/usr/bin/env python3
"""Data dirs for speech recognition; their wav.scp names the FLAC files of LibriSpeech."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from librispeech import Speech, check_speakers, find_speech, read_transcripts
from settings import SplitSettings, add_settings, load_settings

from aio_toolkit.arguments import add_tasks, command_parser, parse
from aio_toolkit.data.audio import read_header
from aio_toolkit.data.datadir import Utterance, write_data_dir
from aio_toolkit.data.resampling import resampled_length
from aio_toolkit.errors import AioError, cli
from aio_toolkit.progress import progress
from aio_toolkit.tasks import Task, get_task, load_tasks


@dataclass(frozen=True)
class SplitToPrepare:
    """One split.

    Attributes:
        name: train, dev or test.
        settings: what is taken.
        task: that of its utterances.
        sample_rate: Hz of the recipe.
    """

    name: str
    settings: SplitSettings
    task: Task
    sample_rate: int


@cli
def main() -> None:
    """Write one data dir per split."""
    parser = command_parser(__doc__)
    parser.add_argument(
        "--librispeech", type=Path, required=True, help="the tree, or the folder above it"
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the data dirs to write")
    add_settings(parser)
    add_tasks(parser)
    args = parse(parser)

    settings, tasks = load_settings(args.config), load_tasks(args.tasks_config)
    splits = settings.splits()
    speech = {name: find_speech(args.librispeech, split.sets) for name, split in splits.items()}
    check_speakers(speech)
    task = get_task(tasks, "asr")
    for name, split in splits.items():
        to_prepare = SplitToPrepare(name, split, task, args.fs)
        utterances = prepare_split(speech[name], to_prepare, settings.seed)
        write_data_dir(args.data / name, utterances, tasks)


def prepare_split(speech: list[Speech], split: SplitToPrepare, seed: int) -> list[Utterance]:
    """The utterances of a split that have a transcript and are short enough; others are counted.

    Raises:
        AioError: nothing remains.
    """
    settings = split.settings
    transcripts: dict[str, str] = {}
    for folder in sorted({one.path.parent for one in speech}):
        transcripts |= read_transcripts(folder)

    transcribed = [one for one in speech if one.id in transcripts]
    utterances = []
    for one in progress(transcribed, f"asr {split.name}"):
        utterances.append(_to_utterance(one, transcripts[one.id], split))

    # Long utterances decide how much memory training needs.
    kept = _drop_long(utterances, split)
    chosen = _choose(kept, settings.asr, seed)

    left_out = {
        "without transcript": len(speech) - len(transcribed),
        f"longer than {settings.max_seconds} s": len(utterances) - len(kept),
        "over the count": len(kept) - len(chosen),
    }
    reasons = [f"{count} {reason}" for reason, count in left_out.items() if count]
    told = ", ".join(reasons) or "none"
    print(f"asr {split.name}: {len(chosen)} utterances; left out: {told}")
    if not chosen:
        remedy = "Fix its sets or max_seconds in --config."
        raise AioError(f"no utterance remains for asr in {split.name}. {remedy}")
    return chosen


def _to_utterance(speech: Speech, text: str, split: SplitToPrepare) -> Utterance:
    header = read_header(str(speech.path))
    assert header is not None, "a FLAC file has a header"
    return Utterance(
        id=f"{split.task.name}-{speech.id}",
        task=split.task,
        speaker=speech.speaker,
        wav=str(speech.path.absolute()),
        num_samples=resampled_length(header.num_samples, header.sample_rate, split.sample_rate),
        answers={"text": text.lower()},
    )


def _drop_long(utterances: list[Utterance], split: SplitToPrepare) -> list[Utterance]:
    if split.settings.max_seconds is None:
        return utterances
    max_samples = split.settings.max_seconds * split.sample_rate
    return [utterance for utterance in utterances if utterance.num_samples <= max_samples]


def _choose(utterances: list[Utterance], count: int | None, seed: int) -> list[Utterance]:
    """`count` utterances at random, or all."""
    if count is None:
        return utterances
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(utterances))
    return [utterances[index] for index in order[:count]]


if __name__ == "__main__":
    main()
