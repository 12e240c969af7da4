"""Stage 6: score a decode folder against its data dir."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aio_toolkit import parts
from aio_toolkit.answers.decode_stamp import DecodeStamp
from aio_toolkit.data.datadir import Utterance, read_data_dir
from aio_toolkit.errors import AioError
from aio_toolkit.parallel import parallel_map
from aio_toolkit.progress import progress
from aio_toolkit.scoring.base import Scorer, Sums
from aio_toolkit.scoring.intervals import CONVENTIONS
from aio_toolkit.scoring.results import Results
from aio_toolkit.scoring.summary import ScoredTask, summarize
from aio_toolkit.tasks import Task, get_task


@dataclass(frozen=True)
class _Item:
    """An utterance and its answer, to be scored by one of several processes."""

    utterance: Utterance
    answer: Any


def score_decode_dir(
    data: Path,
    decode: Path,
    tasks: Mapping[str, Task],
    names: Sequence[str] = (),
    num_jobs: int = 1,
) -> Results:
    """Score tasks of a data dir; single utterances go to `<task>/scores.<metric>.tsv`.

    1. Find the answers to all tasks; what is missing is told before the long work begins.
    2. Score all utterances in one pool of processes, as each process has slow imports.
    3. Summarize task by task.

    Args:
        data: data dir with the references.
        decode: decode folder of stage 5.
        tasks: all tasks that utterances may have.
        names: the tasks to score; all of the data dir by default.
        num_jobs: processes that score.

    Raises:
        AioError: a task has no or not all decoded utterances, or audio cannot be read.
    """
    of_task = _choose(data, tasks, names)
    _check_decoded(decode, of_task)
    stamp = DecodeStamp.read(decode)
    scorers: dict[str, Scorer] = {}
    items: list[_Item] = []
    for name, utterances in of_task.items():
        scorers[name] = _make_scorer(tasks[name], stamp)
        answers = tasks[name].kind.load(decode / name, utterances)
        items += map(_Item, utterances, answers)

    work = functools.partial(_score, scorers=scorers)
    # Several at a time: to hand out a sentence takes as long as to score it.
    scored = parallel_map(work, items, num_jobs, chunksize=8)
    # All before the first summary, so that an error leaves no tables of some tasks.
    sums = iter(list(progress(scored, "score", total=len(items))))

    results = []
    for name, utterances in of_task.items():
        of_utterances = [next(sums) for _ in utterances]
        scored_task = ScoredTask(scorers[name], utterances, of_utterances)
        results.append(summarize(scored_task, decode))
    legend = _legend(scorers.values())
    return Results(str(data), stamp.sample_rate, dict(CONVENTIONS), legend, results)


def _choose(
    data: Path, tasks: Mapping[str, Task], names: Sequence[str]
) -> dict[str, list[Utterance]]:
    """The utterances of each task to score, tasks in the order of their file."""
    present: dict[str, list[Utterance]] = {}
    for utterance in read_data_dir(data, tasks):
        of_task = present.setdefault(utterance.task.name, [])
        of_task.append(utterance)
    for name in names:
        task = get_task(tasks, name)
        if task.name not in present:
            known = ", ".join(sorted(present))
            problem = f"{data} has no utterance of task '{name}'"
            raise AioError(f"{problem}. Its tasks: {known}.")

    chosen = names or present
    # In the order of the tasks' file, as tables of all experiments have it.
    return {name: present[name] for name in tasks if name in chosen}


def _check_decoded(decode: Path, names: Iterable[str]) -> None:
    """Every task has a folder."""
    for name in names:
        if not (decode / name).is_dir():
            problem = f"{decode} has no output of task '{name}'"
            remedy = "Run stage 5 (decoding), or name the tasks to score with --tasks."
            raise AioError(f"{problem}. {remedy}")


def _make_scorer(task: Task, stamp: DecodeStamp) -> Scorer:
    scorer_class = parts.find(Scorer, task.output)
    options = stamp.options_of(task.output)
    return scorer_class(task, options, stamp.sample_rate)


def _score(item: _Item, scorers: Mapping[str, Scorer]) -> Sums:
    scorer = scorers[item.utterance.task.name]
    return scorer.score(item.utterance, item.answer)


def _legend(scorers: Iterable[Scorer]) -> list[str]:
    """What tables have to explain, each paragraph once."""
    directions, columns = [], []
    for scorer in scorers:
        directions += [metric.direction for metric in scorer.metrics.values()]
        if scorer.legend:
            columns.append(scorer.legend)
    return list(dict.fromkeys(directions + columns))
