"""What benches of a trained model share: their options, and the recordings that they take."""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.inputs import read_inputs
from aio_toolkit.errors import AioError
from aio_toolkit.tasks import Task

RECIPE = Path(__file__).resolve().parents[2] / "egs/mini_aio"


def recipe_parser(description: str | None, model: str, max_utts: int) -> argparse.ArgumentParser:
    """Options of a bench, with the defaults of its own."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="folder of the recipe")
    parser.add_argument("--model", type=Path, default=Path(model), help="trained model")
    parser.add_argument("--data", type=Path, default=Path("data/test"), help="data dir")
    parser.add_argument("--max_utts", type=int, default=max_utts, help="utterances of each task")
    return parser


def recordings_of(
    args: argparse.Namespace, tasks: Sequence[Task], known: Iterable[Task], rate: int
) -> Iterator[tuple[Task, list[Utterance]]]:
    """Each task with the first of its recordings; AioError where the data have none.

    Args:
        args: the options.
        tasks: those that are asked for.
        known: those that the data may have.
        rate: Hz of the recordings.
    """
    recordings = read_inputs(args.data, {task.name: task for task in known}, rate)
    for task in tasks:
        utterances = [one for one in recordings if one.task.name == task.name]
        if not utterances:
            raise AioError(f"{args.data} has no '{task.name}'. Choose another by --data.")
        yield task, utterances[: args.max_utts]
