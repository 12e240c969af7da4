"""The tasks that one model answers: what each writes, where its answers are, how they are scored.

Tasks are data: a recipe's `conf/tasks.yaml` names them, a checkpoint holds those of its model.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aio_toolkit.errors import AioError

if TYPE_CHECKING:
    from aio_toolkit.answers.base import AnswerKind

# What `tasks.yaml` may hold, besides the `base:` that every YAML file may have.
TASKS_KEY, PARTS_KEY = "tasks", "parts"


@dataclass(frozen=True)
class Task:
    """One task of the All-In-One model.

    Attributes:
        name: value in `utt2task`, row of the router, prefix of utterance ids.
        title: the name that tables show.
        output: the kind of answer, a file of `answers/`, `heads/`, `decoding/` and `scoring/`.
        targets: the parts of an answer: a text, or a wave for each source.
        metrics: how answers are scored, files of `scoring/metrics/`; the first chooses and ranks.
        options: what the kind of answer asks of a task, an instance of its `Config`.
        inputs: what it hears besides the recording, such as an enrolment, each in an scp file of
            its name.

    >>> Task("asr", "speech recognition", "text", ("text",), ("wer",)).kind.file_of("text")
    'text'
    """

    name: str
    title: str
    output: str
    targets: tuple[str, ...]
    metrics: tuple[str, ...]
    options: Any = None
    inputs: tuple[str, ...] = ()

    @property
    def kind(self) -> "AnswerKind":
        """What is common to all tasks with this kind of answer."""
        # Tasks are plain data, read by all folders; the kinds stand above them.
        from aio_toolkit import parts

        return parts.find_in("answers", self.output)()


@dataclass
class TaskEntry:
    """A task in `tasks.yaml`, without the section of options that has the name of its kind.

    Attributes:
        title: the name that tables show.
        output: the kind of answer.
        targets: the parts of an answer.
        metrics: how answers are scored.
        inputs: what it hears besides the recording.
    """

    title: str
    output: str
    targets: list[str]
    metrics: list[str]
    inputs: list[str] = field(default_factory=list)


def load_tasks(path: Path) -> dict[str, Task]:
    """The tasks of a YAML file, in its order.

    A key `parts: [package]` adds packages that kinds of answer and metrics are looked for in.

    Raises:
        AioError: the file is missing, or a task has an unknown key, kind, target or metric.

    >>> tasks = load_tasks(Path("egs/TEMPLATE/conf/tasks.yaml"))
    >>> tasks["sep"].targets
    ('spk1', 'spk2')
    """
    # OmegaConf takes a while to import; those who get their tasks handed need none of it.
    from aio_toolkit import parts
    from aio_toolkit.config import read_yaml

    values = read_yaml(path)
    for key in map(str, values):
        if key not in (TASKS_KEY, PARTS_KEY):
            known = f"{TASKS_KEY}, {PARTS_KEY}, base"
            raise AioError(f"{path}: unknown key '{key}'. Known keys here: {known}.")
    parts.use(values.get(PARTS_KEY) or ())

    entries = values.get(TASKS_KEY)
    if not entries or not hasattr(entries, "items"):
        raise AioError(f"{path} has no section '{TASKS_KEY}' that names a task.")
    tasks = {}
    for key, entry in entries.items():
        name = str(key)
        tasks[name] = _to_task(name, entry, f"{path}: task '{name}'")
    _check_targets(tasks.values(), path)
    return tasks


def task_to_dict(task: Task) -> dict[str, Any]:
    """A task in the layout of `tasks.yaml`, for checkpoints."""
    from aio_toolkit.config import to_dict

    return {
        "title": task.title,
        "output": task.output,
        "targets": list(task.targets),
        "metrics": list(task.metrics),
        "inputs": list(task.inputs),
        task.output: to_dict(task.options),
    }


def tasks_from_dicts(entries: Mapping[str, Mapping[str, Any]]) -> list[Task]:
    """The tasks that `task_to_dict` was given, from what it returned, by the tasks' names.

    >>> tasks = load_tasks(Path("egs/TEMPLATE/conf/tasks.yaml"))
    >>> tasks_from_dicts({"enh": task_to_dict(tasks["enh"])}) == [tasks["enh"]]
    True
    """
    tasks = []
    for name, entry in entries.items():
        task = _to_task(name, entry, f"task '{name}'")
        tasks.append(task)
    return tasks


def get_task(tasks: Mapping[str, Task], name: str) -> Task:
    """The task called `name`; AioError names the known ones otherwise.

    >>> get_task({}, "asr")
    Traceback (most recent call last):
    aio_toolkit.errors.AioError: unknown task 'asr'. Known tasks: none.
    """
    if name not in tasks:
        known = ", ".join(tasks) or "none"
        raise AioError(f"unknown task '{name}'. Known tasks: {known}.")
    return tasks[name]


def group_by_output(tasks: Iterable[Task]) -> dict[str, list[Task]]:
    """Tasks by their kind of answer, kinds and tasks in the order of first appearance.

    >>> tasks = load_tasks(Path("egs/TEMPLATE/conf/tasks.yaml"))
    >>> groups = group_by_output(tasks.values())
    >>> [task.name for task in groups["text"]]
    ['asr', 'st']
    """
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.output, []).append(task)
    return groups


def _to_task(name: str, entry: Any, where: str) -> Task:
    """Check an entry of `tasks.yaml`; `where` opens error messages."""
    from aio_toolkit.config import from_values

    # The name is a key of modules, a folder of answers and the beginning of ids.
    if not name.isidentifier():
        raise AioError(f"{where}: a name consists of letters, digits and underscores. Change it.")
    if not hasattr(entry, "items"):
        raise AioError(f"{where} is not a section of keys.")
    # A copy, as the section of the kind is taken out of it.
    values = dict(entry)
    kind = _find_kind(values.get("output"), where)

    section = values.pop(values["output"], {})
    checked = from_values(TaskEntry, values, where)
    options = from_values(kind.Config, section, f"{where}: {checked.output}")
    task = Task(
        name=name,
        title=checked.title,
        output=checked.output,
        targets=tuple(checked.targets),
        metrics=tuple(checked.metrics),
        options=options,
        inputs=tuple(checked.inputs),
    )

    _check_metrics(task, where)
    problem = task.kind.check_task(task)
    if problem:
        raise AioError(f"{where}: {problem}")
    return task


def _find_kind(output: Any, where: str) -> type["AnswerKind"]:
    from aio_toolkit import parts

    if not isinstance(output, str):
        known = ", ".join(parts.kinds("answers"))
        raise AioError(f"{where}: key 'output' needs a kind of answer: {known}.")
    try:
        return parts.find_in("answers", output)
    except AioError as error:
        raise AioError(f"{where}: key 'output': {error}") from None


def _check_metrics(task: Task, where: str) -> None:
    from aio_toolkit import parts

    if not task.metrics:
        known = ", ".join(parts.kinds("scoring/metrics"))
        raise AioError(f"{where}: key 'metrics' needs one at least: {known}.")
    for metric in task.metrics:
        try:
            # Found, not imported: whether it takes such answers is for its scorer to say.
            parts.locate("scoring/metrics", metric)
        except AioError as error:
            raise AioError(f"{where}: key 'metrics': {error}") from None


def _check_targets(tasks: Iterable[Task], path: Path) -> None:
    """Tasks may share a target, and so a file of the data dir, if they take it for the same."""
    kinds: dict[str, str] = {}
    for task in tasks:
        for target in task.targets:
            kind = kinds.setdefault(target, task.output)
            if kind != task.output:
                problem = f"target '{target}' is {kind} of one task and {task.output} of another"
                raise AioError(f"{path}: {problem}. Rename one of them.")
