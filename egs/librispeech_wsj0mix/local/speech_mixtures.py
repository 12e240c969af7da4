"""From jobs to audio files: what mixing two speakers and mixing noise have in common."""

import multiprocessing
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from settings import SAMPLE_RATE

from aio_toolkit.data.audio import read_header, write_wav
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.mixing import peak_normalise
from aio_toolkit.errors import AioError
from aio_toolkit.files import read_json, write_json
from aio_toolkit.progress import progress
from aio_toolkit.tasks import TASKS

PEAK = 0.9  # of the loudest of mixture and targets, as in WSJ0-2mix


@dataclass(frozen=True)
class Waves:
    """The input of an utterance and its targets, all (S,): input = sum of targets + what is no target."""

    input: np.ndarray
    targets: dict[str, np.ndarray]


class Job(Protocol):
    """One mixture to make."""

    @property
    def id(self) -> str:
        """Utterance id, with the task in front."""

    @property
    def task(self) -> str:
        """Name in `TASKS`."""

    @property
    def speaker(self) -> str:
        """What goes to `utt2spk`."""

    def render(self) -> Waves:
        """Read and mix; the same every time."""


def mix(targets: dict[str, np.ndarray], background: np.ndarray | None = None) -> Waves:
    """Sum waves (S,) and scale all by one gain to a peak of 0.9.

    Targets and background are put on the grid of 16-bit samples first, so that the files add up exactly.
    """
    parts = [*targets.values(), *([] if background is None else [background])]
    scaled = peak_normalise([np.sum(parts, axis=0), *parts], PEAK)[1:]
    on_grid = [np.round(wave * 2**15) / 2**15 for wave in scaled]
    return Waves(np.sum(on_grid, axis=0), dict(zip(targets, on_grid, strict=False)))


def make_mixtures(jobs: Sequence[Job], folder: Path, stamp: dict[str, Any], nj: int) -> list[Utterance]:
    """Write the audio of all jobs to `folder`, except what an earlier run has written.

    Args:
        jobs: what to make.
        folder: gets `<id>.wav`, `<id>_<target>.wav` and `stamp.json`.
        stamp: all that the audio depends on. A folder with another stamp is emptied first.
        nj: number of processes; the result does not depend on it.

    Raises:
        AioError: two jobs have the same id, or `folder` holds files that are not from here.
    """
    seen: set[str] = set()
    for job in jobs:
        if job.id in seen:
            raise AioError(f"mixture {job.id} comes twice in the list of {folder}. Remove one of the lines.")
        seen.add(job.id)
    _adopt(folder, stamp)
    make = partial(_make, folder=folder)
    return list(progress(_map(make, jobs, nj), desc=f"mix {folder}", total=len(jobs)))


def plain_name(text: str) -> str:
    """`text` with everything but letters, digits, dots, hyphens and underscores replaced, for an id."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text)


def _make(job: Job, folder: Path) -> Utterance:
    targets = {name: folder / f"{job.id}_{name}.wav" for name in TASKS[job.task].targets}
    mixture = folder / f"{job.id}.wav"
    if not all(path.exists() for path in (mixture, *targets.values())):
        waves = job.render()
        for name, path in targets.items():
            write_wav(path, waves.targets[name], SAMPLE_RATE)
        write_wav(mixture, waves.input, SAMPLE_RATE)
    return Utterance(
        id=job.id,
        task=job.task,
        speaker=job.speaker,
        wav=str(mixture),
        num_samples=read_header(str(mixture)).num_samples,
        targets={name: str(path) for name, path in targets.items()},
    )


def _map(function: partial, jobs: Sequence[Job], nj: int) -> Iterator[Utterance]:
    if nj == 1:
        yield from map(function, jobs)
        return
    # spawn: forking a process that has threads (BLAS, a test runner) can deadlock
    with multiprocessing.get_context("spawn").Pool(nj) as pool:
        yield from pool.imap(function, jobs, chunksize=16)


def _adopt(folder: Path, stamp: dict[str, Any]) -> None:
    path = folder / "stamp.json"
    if folder.is_dir() and os.listdir(folder) and not path.exists():
        raise AioError(f"{folder} has files but no stamp.json, so this program did not make it. Move it away.")
    if path.exists() and read_json(path) != stamp:
        print(f"{folder}: other lists or settings than before, making it again")
        shutil.rmtree(folder)
    write_json(path, stamp)
