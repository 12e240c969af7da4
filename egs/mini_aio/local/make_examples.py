"""Make a data dir of the first recording of each task of another one, references included."""

import argparse
import dataclasses
from collections.abc import Iterable
from pathlib import Path

import soundfile

from aio_toolkit.data.datadir import Utterance, read_data_dir, write_data_dir
from aio_toolkit.errors import cli
from aio_toolkit.tasks import load_tasks


@cli
def main() -> None:
    """Write audio and lists into one folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data/test"))
    parser.add_argument("--tasks_config", type=Path, default=Path("conf/tasks.yaml"))
    parser.add_argument("--out", type=Path, default=Path("examples"))
    args = parser.parse_args()

    tasks = load_tasks(args.tasks_config)
    first = first_of_each_task(read_data_dir(args.data, tasks))
    write_data_dir(args.out, [moved(utterance, args.out) for utterance in first], tasks)


def first_of_each_task(utterances: Iterable[Utterance]) -> list[Utterance]:
    """The first utterance of every task that there is, in their order."""
    first: dict[str, Utterance] = {}
    for utterance in utterances:
        first.setdefault(utterance.task.name, utterance)
    return list(first.values())


def moved(utterance: Utterance, folder: Path) -> Utterance:
    """The same utterance, its audio being in a folder."""
    answers = dict(utterance.answers)
    for target, wave in utterance.answers.items():
        if wave in utterance.waves.values():
            answers[target] = compressed(wave, folder)
    return dataclasses.replace(utterance, wav=compressed(utterance.wav, folder), answers=answers)


def compressed(wave: str, folder: Path) -> str:
    """Write a wave of 16 bits, whose path this is, as FLAC, which loses nothing of it."""
    samples_S, rate = soundfile.read(wave, dtype="int16")
    path = folder / "audio" / Path(wave).with_suffix(".flac").name
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples_S, rate)
    return str(path)


if __name__ == "__main__":
    main()
