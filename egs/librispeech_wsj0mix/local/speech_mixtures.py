"""From mixing lists to audio files: what mixing two speakers and mixing noise have in common."""

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from settings import SplitSettings, add_settings, load_settings

from aio_toolkit import folders
from aio_toolkit.arguments import add_tasks, command_parser
from aio_toolkit.data.audio import read_header
from aio_toolkit.data.datadir import Utterance, write_data_dir
from aio_toolkit.data.mixtures import Mixture
from aio_toolkit.data.wav_writer import write_wav
from aio_toolkit.errors import AioError
from aio_toolkit.files import sha256_file
from aio_toolkit.parallel import parallel_map
from aio_toolkit.progress import progress
from aio_toolkit.tasks import Task, get_task, load_tasks

PEAK = 0.9  # of the loudest of mixture and targets, as in WSJ0-2mix


class Job(Protocol):
    """One mixture to make."""

    @property
    def id(self) -> str:
        """Utterance id, with the task in front."""

    @property
    def task(self) -> Task:
        """The task of the utterance."""

    @property
    def sample_rate(self) -> int:
        """Hz of the audio to write."""

    @property
    def speaker(self) -> str:
        """What goes to `utt2spk`."""

    def render(self) -> Mixture:
        """Read and mix; the same every time."""


# Makes the jobs of a list, and names the folders that its audio comes from.
ReadJobs = Callable[[Path, SplitSettings, Task], tuple[Sequence[Job], dict[str, Path]]]


def mixing_parser(description: str | None) -> argparse.ArgumentParser:
    """The arguments of a program that makes mixtures from lists."""
    parser = command_parser(description)
    parser.add_argument("--lists", type=Path, required=True, help="folder of the mixing lists")
    parser.add_argument(
        "--root", type=Path, required=True, help="folder that the paths start from, or next to it"
    )
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the audio to write")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data dirs to write")
    parser.add_argument("--nj", type=int, default=1, help="processes")
    add_settings(parser)
    add_tasks(parser)
    return parser


def make_splits(
    args: argparse.Namespace,
    task_name: str,
    lists: Mapping[str, str],
    read_jobs: ReadJobs,
) -> None:
    """Write the mixtures of all splits and their data dirs.

    Args:
        args: those of `mixing_parser`.
        task_name: the task of the mixtures.
        lists: name of each split's list; a split without one has no mixtures.
        read_jobs: reads a list.
    """
    tasks = load_tasks(args.tasks_config)
    task = get_task(tasks, task_name)
    for name, split in load_settings(args.config).splits().items():
        path = args.lists / lists[name]
        if not path.exists():
            missing = f"there is no {task.title} ({task.name}) in {name}"
            print(f"notice: {path} does not exist, so {missing}")
            continue
        jobs, roots = read_jobs(path, split, task)
        stamp: dict[str, Any] = {"list": sha256_file(path)}
        for what, folder in roots.items():
            stamp[what] = str(folder)
        stamp["mix_seconds"] = split.mix_seconds
        stamp["sample_rate"] = args.fs

        audio = args.corpus / name / task.name
        utterances = make_mixtures(jobs, audio, stamp, args.nj)
        write_data_dir(args.data / name, utterances, tasks)


def make_mixtures(
    jobs: Sequence[Job], folder: Path, stamp: dict[str, Any], nj: int
) -> list[Utterance]:
    """Write the audio of all jobs to `folder`, except what an earlier run has written.

    Args:
        jobs: what to make.
        folder: gets `<id>.wav`, `<id>_<target>.wav` and `stamp.json`.
        stamp: all that the audio depends on. A folder with another stamp is emptied first.
        nj: number of processes; the result does not depend on it.

    Raises:
        AioError: two jobs have the same id, or `folder` holds files that are not from here.
    """
    # Both would write the same files.
    seen: set[str] = set()
    for job in jobs:
        if job.id in seen:
            found = f"mixture {job.id} appears twice in the list of {folder}"
            raise AioError(f"{found}. Remove one of the lines.")
        seen.add(job.id)
    folders.claim(folder, stamp)
    work = partial(_make, folder=folder)
    made = parallel_map(work, jobs, nj, chunksize=16)
    return list(progress(made, desc=f"mix {folder}", total=len(jobs)))


def find_list_root(root: Path, listed: str) -> Path:
    """The folder that a listed path starts from: `root`, the one above, or `LibriSpeech` in it.

    Official lists start with `wsj0/`, so that both the folder `wsj0` and the one above it will do.

    Raises:
        AioError: the file is in none of them.
    """
    for candidate in (root, root.absolute().parent, root / "LibriSpeech"):
        if (candidate.resolve() / listed).is_file():
            return candidate.resolve()
    raise AioError(
        f"{listed}, which the mixing list names, is not in {root}. Name the folder that the list's "
        "paths start from; WSJ0 is needed as wav files in its original folders."
    )


def plain_name(text: str) -> str:
    """`text` with everything except letters, digits, dots, hyphens and underscores replaced.

    >>> plain_name("enh-19-198-0000_-3.2_Dog bark (2)")
    'enh-19-198-0000_-3.2_Dog-bark-2-'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text)


def _make(job: Job, folder: Path) -> Utterance:
    """Write the waves of a mixture, unless all of them are there."""
    targets = {name: folder / f"{job.id}_{name}.wav" for name in job.task.targets}
    mixture = folder / f"{job.id}.wav"
    paths = [mixture, *targets.values()]
    if not all(path.exists() for path in paths):
        made = job.render()
        for name, path in targets.items():
            write_wav(path, made.targets[name], job.sample_rate)
        # Last: whoever finds the mixture may take the targets for granted.
        write_wav(mixture, made.input, job.sample_rate)
    header = read_header(str(mixture))
    assert header is not None, "a WAV file has a header"
    return Utterance(
        id=job.id,
        task=job.task,
        speaker=job.speaker,
        wav=str(mixture),
        num_samples=header.num_samples,
        answers={name: str(path) for name, path in targets.items()},
    )
