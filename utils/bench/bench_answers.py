"""Whole answers of a trained model, from files to what `aio_toolkit.load` returns, beside peers.

All numbers are of one process, the contestants taking turns: seconds of work per second of audio,
the best of several runs of each batch, and ratios. Beside answers to audio tasks stands
torchaudio's Conv-TasNet, with random weights, as speed does not depend on them; beside words stands
the same model with ESPnet's search, one recording at a time as its `Speech2Text` does.
"""

import copy
import math
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from bench_text import EspnetSearch
from torchaudio.models import conv_tasnet_base
from trained import recipe_parser, recordings_of

import aio_toolkit
from aio_toolkit.data.audio import read_audio
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.errors import cli
from aio_toolkit.hub.answerers.base import Answerer
from aio_toolkit.hub.model import Model
from aio_toolkit.layers import count_parameters
from aio_toolkit.tasks import Task

BATCH = 16

# Works on files; what comes of it is thrown away.
Contestant = Callable[[Sequence[str]], None]


@cli
def main() -> None:
    """Print a block of lines for each task."""
    parser = recipe_parser(__doc__, "pretrained", max_utts=BATCH)
    parser.add_argument("--runs", type=int, default=3, help="runs of which the best counts")
    args = parser.parse_args()
    # Paths are relative to it, those in its data dirs too.
    os.chdir(args.recipe)
    model = aio_toolkit.load(args.model, device="cpu")
    tasks = list(model.tasks.values())
    for task, utterances in recordings_of(args, tasks, tasks, model.rate):
        bench(model, task, utterances, args.runs)


def bench(model: Model, task: Task, utterances: Sequence[Utterance], runs: int) -> None:
    """Race ways to answer the recordings of a task; print how long each took."""
    one, many = "one by one", f"batches of {BATCH}"
    sizes = {one: 1, many: BATCH}
    answerer, options = model.answerer(task.name), model.options(task.name, {})
    contestants = {name: answers(answerer, options, size) for name, size in sizes.items()}
    if task.output == "audio":
        contestants |= conv_tasnet(model.rate, len(task.targets))
    else:
        contestants["with ESPnet's search, one by one"] = espnet(model, task)
    files = [utterance.wav for utterance in sorted(utterances, key=lambda u: u.num_samples)]
    seconds = race(contestants, [files[n : n + BATCH] for n in range(0, len(files), BATCH)], runs)
    audio = sum(utterance.num_samples for utterance in utterances) / model.rate

    print(f"{task.name}: {len(files)} files, {audio:.0f} s, {torch.get_num_threads()} threads")
    for name, took in seconds.items():
        ratio = took / seconds[one]
        print(f"  {name}: real-time factor {took / audio:.4f}, {ratio:.2f} times the first's time")
    print(f"  {seconds[one] / seconds[many]:.2f} times faster in batches", flush=True)


def answers(answerer: Answerer, options: Any, at_once: int) -> Contestant:
    """Our answers, of so many windows at a time."""

    def answer(files: Sequence[str]) -> None:
        openers = [answerer.opener(file, options) for file in files]
        for pieces in answerer.answers(openers, options, at_once):
            answerer.joined(pieces, options)

    return answer


def conv_tasnet(rate: int, num_sources: int) -> dict[str, Contestant]:
    """Conv-TasNet of so many sources, one by one and in batches."""
    network = conv_tasnet_base(num_sources).eval()

    @torch.inference_mode()
    def separate(files: Sequence[str]) -> None:
        waves = [torch.from_numpy(read_audio(file, rate)) for file in files]
        network(torch.nn.utils.rnn.pad_sequence(waves, batch_first=True)[:, None])

    def one_by_one(files: Sequence[str]) -> None:
        for file in files:
            separate([file])

    name = f"Conv-TasNet of {count_parameters(network) / 1e6:.1f} M"
    return {f"{name}, one by one": one_by_one, f"{name}, batches of {BATCH}": separate}


def espnet(model: Model, task: Task) -> Contestant:
    """Our answers, in which ESPnet searches for the words."""
    ours: Any = model.answerer(task.name)
    theirs = copy.copy(ours)
    theirs.decoder = lambda options: Espnet(ours.decoder(options))
    return answers(theirs, model.options(task.name, {}), at_once=1)


class Espnet(EspnetSearch):
    """ESPnet's search in the place of a decoder of ours."""

    @property
    def head(self) -> Any:
        """The head whose scores it asks for."""
        return self.decoder.head


def race(
    contestants: dict[str, Contestant], batches: Sequence[Sequence[str]], runs: int
) -> dict[str, float]:
    """Seconds that each contestant takes for all batches."""
    seconds = dict.fromkeys(contestants, 0.0)
    for run in contestants.values():
        run(batches[0])
    for files in batches:
        best = dict.fromkeys(contestants, math.inf)
        for _ in range(runs):
            for name, run in contestants.items():
                start = time.perf_counter()
                run(files)
                best[name] = min(best[name], time.perf_counter() - start)
        for name, took in best.items():
            seconds[name] += took
    return seconds


if __name__ == "__main__":
    main()
