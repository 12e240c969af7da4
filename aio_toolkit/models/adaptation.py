"""A new task for a trained model: its gates, embedding and head are trained, all else stays bit by bit."""

import torch
from torch import nn

from aio_toolkit.errors import AioError
from aio_toolkit.heads.codes import CodesHead
from aio_toolkit.heads.text import TextHead
from aio_toolkit.models.aio import AioModel
from aio_toolkit.tasks import get_task
from aio_toolkit.text import Vocabulary


def add_task(
    model: AioModel,
    config: AioModel.Config,
    task: str,
    vocabulary: Vocabulary | None,
    embedding_QVC: torch.Tensor | None,
) -> None:
    """Make room for `task` in a model, last in order, and freeze what is not the task's own.

    Where the model has a head for the task's kind of answer, the task adds its own layers to it; else it gets a new
    head. `vocabulary` is needed for a text task, `embedding_QVC` (the codec's vectors) for an audio task.

    Raises:
        AioError: the model knows the task, or its vocabulary is another one.
    """
    if task in model.tasks:
        raise AioError(f"the model knows task '{task}' already. Its tasks: {', '.join(model.tasks)}.")
    model.requires_grad_(False)
    model.tasks = [*model.tasks, task]
    embedding = model.backbone.task_embedding
    embedding.append(torch.randn_like(embedding[0]) * 0.02)
    own = [embedding[-1]]
    for layer in model.backbone.moe_layers().values():
        layer.num_tasks += 1
        own += layer.router.add_task()
    own += _add_to_head(model, config, task, vocabulary, embedding_QVC)
    for parameter in own:
        parameter.requires_grad_(True)


def _add_to_head(model, config, task, vocabulary, embedding_QVC) -> list[nn.Parameter]:
    width = config.backbone.width
    if get_task(task).output == "text":
        if model.text_head is not None:
            return model.text_head.add_task(task, vocabulary)
        model.text_head = TextHead(config.text_head, width, vocabulary, [task])
        return list(model.text_head.parameters())
    if model.codes_head is not None:
        return model.codes_head.add_task(task)
    model.codes_head = CodesHead(config.codes_head, width, embedding_QVC, [task])
    return list(model.codes_head.parameters())
