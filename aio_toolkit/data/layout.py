"""Which files a data dir has, and what they hold."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aio_toolkit.data.segments import SEGMENTS
from aio_toolkit.tasks import Task

WAVES = "wav.scp"
REQUIRED_FILES = ("utt2task", "utt2spk", "utt2num_samples", WAVES)
# Files of Kaldi that say nothing which is not in the others.
REDUNDANT = (
    "spk2utt",
    "utt2dur",
    "utt2num_frames",
    "spk2gender",
    "reco2dur",
    "reco2file_and_channel",
)


@functools.cache  # once for each folder and process
def notice_unread(directory: Path, known: tuple[str, ...]) -> None:
    """Name the files of a data dir that are not read."""
    read = {*known, *REDUNDANT, SEGMENTS}
    paths = sorted(directory.iterdir())
    strangers = [path.name for path in paths if path.is_file() and path.name not in read]
    if not strangers:
        return
    told = f"files that no task reads: {', '.join(strangers)}"
    if any(names_waves(name) for name in strangers):
        waves = ", ".join(name for name in known if names_waves(name))
        told += f". Of waves, tasks read {waves}: a source more is one that nobody learns"
    print(f"notice: {directory}: {told}")


def names_waves(file: str) -> bool:
    """Whether a file names waves as long as the input; the others hold text.

    >>> names_waves("spk1.scp"), names_waves("text.fr")
    (True, False)
    """
    return Path(file).suffix == ".scp"


@dataclass(frozen=True)
class Layout:
    """The layout of a recipe's data dirs, asked of its tasks once and not for every utterance.

    Attributes:
        tasks: all tasks of the recipe, by name.
        files: the file of every target, in the order of tasks and targets.
        required: the targets that every utterance of a task has, by the task's name.
        inputs: the file of everything that a task hears besides its recording, by name.

    >>> from aio_toolkit.tasks import load_tasks
    >>> tasks = load_tasks(Path("egs/TEMPLATE/conf/tasks.yaml"))
    >>> layout = Layout.of({name: tasks[name] for name in ("st", "enh")})
    >>> layout.all_files
    ['utt2task', 'utt2spk', 'utt2num_samples', 'wav.scp', 'text.fr', 'speech.scp']
    """

    tasks: Mapping[str, Task]
    files: Mapping[str, str]
    required: Mapping[str, tuple[str, ...]]
    inputs: Mapping[str, str]

    @classmethod
    def of(cls, tasks: Mapping[str, Task]) -> "Layout":
        """Ask the tasks."""
        files, required, inputs = {}, {}, {}
        for name, task in tasks.items():
            required[name] = task.kind.required(task)
            for target in task.targets:
                files[target] = task.kind.file_of(target)
            for name_of_input in task.inputs:
                inputs[name_of_input] = f"{name_of_input}.scp"
        return cls(tasks, files, required, inputs)

    @property
    def all_files(self) -> list[str]:
        """Names of all files, each once: several tasks may have the same target."""
        names = [*REQUIRED_FILES, *self.inputs.values(), *self.files.values()]
        return list(dict.fromkeys(names))
