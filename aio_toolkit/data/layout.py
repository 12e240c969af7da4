"""Which files a data dir has, and what they hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aio_toolkit.tasks import Task

WAVES = "wav.scp"
REQUIRED_FILES = ("utt2task", "utt2spk", "utt2num_samples", WAVES)


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

    >>> from aio_toolkit.tasks import load_tasks
    >>> tasks = load_tasks(Path("egs/TEMPLATE/conf/tasks.yaml"))
    >>> layout = Layout.of({name: tasks[name] for name in ("st", "enh")})
    >>> layout.all_files
    ['utt2task', 'utt2spk', 'utt2num_samples', 'wav.scp', 'text.fr', 'speech.scp']
    """

    tasks: Mapping[str, Task]
    files: Mapping[str, str]
    required: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, tasks: Mapping[str, Task]) -> "Layout":
        """Ask the tasks."""
        files, required = {}, {}
        for name, task in tasks.items():
            required[name] = task.kind.required(task)
            for target in task.targets:
                files[target] = task.kind.file_of(target)
        return cls(tasks, files, required)

    @property
    def all_files(self) -> list[str]:
        """Names of all files, each once: several tasks may have the same target."""
        names = [*REQUIRED_FILES, *self.files.values()]
        return list(dict.fromkeys(names))
