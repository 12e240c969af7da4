"""Answer a recording of each task with the trained model, as one would one's own."""

import argparse
from pathlib import Path

from make_examples import first_of_each_task

import aio_toolkit
from aio_toolkit.data.inputs import read_inputs


def main() -> None:
    """The first recording of each task of a data dir."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("exp/train_aio"))
    parser.add_argument("--data", type=Path, default=Path("data/test"))
    parser.add_argument("--out", type=Path, default=Path("exp/answers"))
    args = parser.parse_args()

    model = aio_toolkit.load(args.model)
    for recording in first_of_each_task(read_inputs(args.data, model.tasks, model.rate)):
        task = recording.task.name
        answer = model.answer(task, recording.wav)
        folder = args.out / recording.id
        answer.save(folder)
        print(f"{task:5} {recording.wav}: {answer} (in {folder})")


if __name__ == "__main__":
    main()
