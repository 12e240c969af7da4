"""A new task for a trained model: its gates, embedding and head are trained, all else stays
bit-identical."""

from aio_toolkit.answers.base import Units
from aio_toolkit.errors import AioError
from aio_toolkit.models.aio import AioModel
from aio_toolkit.tasks import Task


def add_task(model: AioModel, task: Task, units: Units) -> None:
    """Make room for a task in a model, last in order, and freeze what is not the task's own.

    Where the model has a head for the task's kind of answer, the task adds its own layers to it;
    else it gets a new head.

    Args:
        model: a trained model.
        task: a task that it does not know.
        units: the units of the task's kind of answer.

    Raises:
        AioError: the model knows the task, or has other units for this kind of answer.
    """
    known = {task.name for task in model.tasks}
    if task.name in known:
        raise AioError(
            f"the model knows task '{task.name}' already. Its tasks: {', '.join(sorted(known))}."
        )
    if task.output in model.units:
        model.units[task.output].check_same(units, f"task '{task.name}' against the trained model")
    model.requires_grad_(False)
    model.tasks = [*model.tasks, task]

    own = model.backbone.add_task()
    if task.output in model.heads:
        own += model.head_of(task).add_task(task)
    else:
        model.units[task.output] = units
        own += model.add_head(task.output, [task]).parameters()
    for parameter in own:
        parameter.requires_grad_(True)
