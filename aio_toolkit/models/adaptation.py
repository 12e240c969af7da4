"""A new task for a trained model.

Its gates, embedding and head are trained; all else stays bit-identical.
"""

from aio_toolkit.answers.base import Units
from aio_toolkit.errors import AioError
from aio_toolkit.models.aio import UNTRAINED_SECONDS, AioModel
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

    >>> from aio_toolkit.answers.text import TextUnits
    >>> from aio_toolkit.frames import FrameGrid
    >>> from aio_toolkit.models.ssl import SslEncoder
    >>> from aio_toolkit.text import Vocabulary
    >>> asr, st = (Task(name, "", "text", ("text",), ()) for name in ("asr", "st"))
    >>> units = TextUnits(Vocabulary(("<blank>", "a", "<asr>", "<st>", "<eos>"), b""))
    >>> encoder = SslEncoder(SslEncoder.Config(), FrameGrid(16000, 320))
    >>> model = AioModel(AioModel.Config(), [asr], encoder, {"text": units})
    >>> add_task(model, st, units)
    >>> trained = [name for name, p in model.named_parameters() if p.requires_grad]
    >>> trained[0], trained[-1]
    ('backbone.task_embedding.1', 'heads.text.decoder.embed.0.weight')
    """
    known = {known.name for known in model.tasks}
    if task.name in known:
        names = ", ".join(sorted(known))
        raise AioError(f"the model knows task '{task.name}' already. Its tasks: {names}.")
    if task.output in model.units:
        where = f"task '{task.name}' against the trained model"
        model.units[task.output].check_same(units, where)

    model.requires_grad_(requires_grad=False)
    model.tasks = [*model.tasks, task]
    model.example_seconds[task.name] = UNTRAINED_SECONDS
    # Backbone, then head: they draw initial weights in this order.
    own = model.backbone.add_task() + model.add_inputs(task)
    if task.output in model.heads:
        own += model.head_of(task).add_task(task)
    else:
        model.units[task.output] = units
        head = model.add_head(task.output, [task])
        own += head.parameters()
    for parameter in own:
        parameter.requires_grad_()
