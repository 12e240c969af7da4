"""Stage 6: score a decode folder against its data dir."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aio_toolkit import parts
from aio_toolkit.answers.decode_stamp import DecodeStamp
from aio_toolkit.data.datadir import Utterance, read_data_dir
from aio_toolkit.data.digest import digest_of
from aio_toolkit.data.inputs import read_inputs
from aio_toolkit.errors import AioError
from aio_toolkit.parallel import parallel_map
from aio_toolkit.progress import progress
from aio_toolkit.scoring.base import Scorer, Sums
from aio_toolkit.scoring.bounds import BoundsStore
from aio_toolkit.scoring.intervals import CONVENTIONS
from aio_toolkit.scoring.results import FULL, HALF, Results
from aio_toolkit.scoring.summary import ScoredTask, summarize
from aio_toolkit.tasks import Task, get_task


@dataclass(frozen=True)
class ScoreRun:
    """What is scored, and against what.

    Attributes:
        data: data dir with the references.
        decode: decode folder of stage 5.
        tasks: all tasks that utterances may have.
        names: the tasks to score; empty: all that are decoded.
        train: data dir that floors are fitted to; None: no fitted floor.
        dev: data dir that their options are chosen on.
        bounds: folder where floors and ceilings are kept, for all models; None: the decode folder.
        num_jobs: processes.
    """

    data: Path
    decode: Path
    tasks: Mapping[str, Task]
    names: Sequence[str] = ()
    train: Path | None = None
    dev: Path | None = None
    bounds: Path | None = None
    num_jobs: int = 1


@dataclass(frozen=True)
class _Item:
    """An utterance and its answer, to be scored by one of several processes."""

    utterance: Utterance
    answer: Any


def score_decode_dir(run: ScoreRun) -> Results:
    """Score tasks of a data dir; single utterances go to `<task>/scores.<metric>.tsv`.

    1. Find the answers to all tasks; what is missing is told before the long work begins.
    2. Fit the floors; compute floors and ceilings that no earlier run has left.
    3. Score all utterances in one pool of processes, as each process has slow imports.
    4. Summarize task by task.

    Raises:
        AioError: nothing can be scored, recordings have changed since they were decoded, a task has
            not all decoded utterances, or audio cannot be read.
    """
    of_task = _choose(run)
    stamp = DecodeStamp.read(run.decode)
    _check_recordings(run, stamp)
    scorers: dict[str, Scorer] = {}
    items: list[_Item] = []
    for name, utterances in of_task.items():
        scorers[name] = _make_scorer(run.tasks[name], stamp)
        answers = run.tasks[name].kind.load(run.decode / name, utterances)
        items += map(_Item, utterances, answers)
    _fit(scorers, run)
    bounds = _bounds(scorers, of_task, run)

    work = functools.partial(_score, scorers=scorers)
    # Several at a time: to hand out a sentence takes as long as to score it.
    scored = parallel_map(work, items, run.num_jobs, chunksize=8)
    # All before the first summary, so that an error leaves no tables of some tasks.
    sums = iter(list(progress(scored, "score", total=len(items))))

    results = []
    for name, utterances in of_task.items():
        of_utterances = [{**next(sums), **bounds[name].get(u.id, {})} for u in utterances]
        scored_task = ScoredTask(scorers[name], utterances, of_utterances)
        results.append(summarize(scored_task, run.decode))
    legend = _legend(scorers.values())
    weights = HALF if stamp.half else FULL
    return Results(str(run.data), stamp.sample_rate, dict(CONVENTIONS), legend, results, weights)


def _fit(scorers: Mapping[str, Scorer], run: ScoreRun) -> None:
    """Fit the floor of every task."""
    if run.train is None or run.dev is None:
        return
    train = _by_task(read_data_dir(run.train, run.tasks))
    dev = _by_task(read_data_dir(run.dev, run.tasks))
    for name, scorer in scorers.items():
        if name in train and name in dev:
            scorer.fit(train[name], dev[name])


def _bounds(
    scorers: Mapping[str, Scorer], of_task: Mapping[str, list[Utterance]], run: ScoreRun
) -> dict[str, dict[str, Sums]]:
    """Floors and ceilings of every utterance, by task and id."""
    store = BoundsStore(run.bounds or run.decode / "bounds")
    bounds, missing = {}, []
    paths = {}
    for name, utterances in of_task.items():
        paths[name] = store.path(name, utterances, scorers[name].bounds_of())
        bounds[name] = store.read(paths[name])
        if not bounds[name]:
            missing += utterances
    work = functools.partial(_bound, scorers=scorers)
    made = parallel_map(work, missing, run.num_jobs, chunksize=8)
    found = progress(made, "floors and ceilings", total=len(missing)) if missing else iter(())
    for utterance, sums in zip(missing, list(found), strict=True):
        bounds[utterance.task.name][utterance.id] = sums
    for name in {utterance.task.name for utterance in missing}:
        store.write(paths[name], bounds[name])
    return bounds


def _by_task(utterances: Iterable[Utterance]) -> dict[str, list[Utterance]]:
    groups: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        groups.setdefault(utterance.task.name, []).append(utterance)
    return groups


def _choose(run: ScoreRun) -> dict[str, list[Utterance]]:
    """The utterances of each task to score, tasks in the order of their file.

    Tasks that are not decoded are told of, unless they are asked for by name.
    """
    present = _by_task(read_data_dir(run.data, run.tasks))
    for name in run.names:
        task = get_task(run.tasks, name)
        if task.name not in present:
            known = ", ".join(sorted(present))
            problem = f"{run.data} has no utterance of task '{name}'"
            raise AioError(f"{problem}. Its tasks: {known}.")

    chosen = {}
    # In the order of the tasks' file, as tables of all experiments have it.
    for name in run.tasks:
        if name not in (run.names or present):
            continue
        if (run.decode / name).is_dir():
            chosen[name] = present[name]
        elif run.names:
            problem = f"{run.decode} has no output of task '{name}'"
            raise AioError(f"{problem}. Run stage 5 (decoding) with --tasks {name}.")
        else:
            print(f"notice: {run.decode} has no output of task {name}: not scored")
    if not chosen:
        remedy = "Run stage 5 (decoding) with the same data dir."
        raise AioError(f"{run.decode} has no output of a task of {run.data}. {remedy}")
    return chosen


def _check_recordings(run: ScoreRun, stamp: DecodeStamp) -> None:
    """Refuse answers to recordings that are no longer what they were."""
    # Answers of another toolkit do not tell.
    if not stamp.data:
        return
    recordings = read_inputs(run.data, run.tasks, stamp.sample_rate)
    if digest_of(recordings) != stamp.data:
        problem = f"{run.decode} was decoded before the recordings of {run.data} changed"
        raise AioError(f"{problem}. Run stage 5 (decoding) again.")


def _make_scorer(task: Task, stamp: DecodeStamp) -> Scorer:
    scorer_class = parts.find(Scorer, task.output)
    options = stamp.options_of(task.output)
    return scorer_class(task, options, stamp.sample_rate)


def _score(item: _Item, scorers: Mapping[str, Scorer]) -> Sums:
    scorer = scorers[item.utterance.task.name]
    return scorer.score(item.utterance, item.answer)


def _bound(utterance: Utterance, scorers: Mapping[str, Scorer]) -> Sums:
    return scorers[utterance.task.name].bounds(utterance)


def _legend(scorers: Iterable[Scorer]) -> list[str]:
    """What tables have to explain, each paragraph once."""
    directions, columns = [], []
    for scorer in scorers:
        directions += [metric.direction for metric in scorer.metrics.values()]
        if scorer.legend:
            columns.append(scorer.legend)
    return list(dict.fromkeys(directions + columns))
