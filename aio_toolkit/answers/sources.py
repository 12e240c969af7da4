"""The sources of audio tasks: what is asked for, and what an utterance has."""

from aio_toolkit.data.datadir import Utterance
from aio_toolkit.tasks import Task


def all_sources(task: Task) -> tuple[str, ...]:
    """What an audio head predicts: the targets, then the residual where there is one.

    >>> from pathlib import Path
    >>> from aio_toolkit.tasks import load_tasks
    >>> tasks = load_tasks(Path("egs/TEMPLATE/conf/tasks.yaml"))
    >>> all_sources(tasks["enh"])
    ('speech', 'noise')
    """
    residual = task.options.residual
    if residual is None:
        return task.targets
    return (*task.targets, residual)


def present_targets(utterance: Utterance) -> tuple[str, ...]:
    """The targets of its task that an utterance has, in the task's order.

    Its other answers, such as the transcript of a speaker, are none of the task's.

    >>> from pathlib import Path
    >>> from aio_toolkit.tasks import load_tasks
    >>> tasks = load_tasks(Path("egs/TEMPLATE/conf/tasks.yaml"))
    >>> answers = {"sound1": "1.wav", "sound2": "2.wav"}
    >>> present_targets(Utterance("sound-1", tasks["sound"], "", "mix.wav", 100, answers))
    ('sound1', 'sound2')
    """
    present = []
    for target in utterance.task.targets:
        if target in utterance.answers:
            present.append(target)
    return tuple(present)


def present_sources(utterance: Utterance) -> tuple[str, ...]:
    """The targets that an utterance has, then the residual where its task has one."""
    residual = utterance.task.options.residual
    present = present_targets(utterance)
    if residual is None:
        return present
    return (*present, residual)
