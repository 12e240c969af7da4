"""A small model cut out of the whole: one task, and the experts that it visits (Mod-Squad, Chen et al. 2023, 3.4)."""

import copy
import dataclasses

from torch import nn

from aio_toolkit.errors import AioError
from aio_toolkit.models.aio import AioModel
from aio_toolkit.moe.base import RoutingTable, Tables
from aio_toolkit.tasks import get_task

Kept = dict[str, list[int]]


def choose_experts(tables: Tables, task: int, min_load: float = 0.0, most: int | None = None) -> Kept:
    """Experts of each layer that a task needs, in ascending order.

    Args:
        tables: routing of the model on some data of the task.
        task: its index.
        min_load: usage rule: experts with more than this share of an even load are kept; 0 keeps all that were
            visited. The busiest always is.
        most: fixed budget: at most so many experts of a layer, the busiest.

    Raises:
        AioError: the tables hold no token of the task.
    """
    return {name: _choose(table, task, min_load, most) for name, table in tables.items()}


def _choose(table: RoutingTable, task: int, min_load: float, most: int | None) -> list[int]:
    if table.tokens_G[task] == 0:
        raise AioError("the data has no utterance of the task: nothing says which experts it visits.")
    load_E = table.load_GE()[task]
    order = load_E.argsort(descending=True, stable=True).tolist()
    used = [expert for expert in order if load_E[expert] > min_load / len(load_E)] or order[:1]
    return sorted(used[:most])


def extract(model: AioModel, config: AioModel.Config, task: str, kept: Kept) -> tuple[AioModel, AioModel.Config]:
    """The model that answers `task` alone with the kept experts, and its configuration.

    With all experts kept that the task visits, its outputs are those of the whole model.

    Raises:
        AioError: the model does not know the task, or its router's choice depends on the experts thrown away.
    """
    if task not in model.tasks:
        raise AioError(f"the model has no task '{task}'. Its tasks: {', '.join(model.tasks)}.")
    router = config.backbone.moe.router
    if not router.renormalise or router.top_p is not None:
        raise AioError("extraction needs moe.router.renormalise: true and top_p: null; others weigh experts by all.")
    index = model.tasks.index(task)
    small = copy.deepcopy(model)
    small.tasks = [task]
    small.backbone.task_embedding = nn.ParameterList([small.backbone.task_embedding[index]])
    for name, layer in small.backbone.moe_layers().items():
        layer.num_tasks = 1
        layer.router.keep(index, kept[name])
        layer.experts.keep(kept[name])
    if get_task(task).output == "text":
        small.text_head.keep(task)
        small.codes_head = None
    else:
        small.codes_head.keep(task)
        small.text_head = None
    counts = {name: len(experts) for name, experts in kept.items()}
    moe = dataclasses.replace(config.backbone.moe, kept=counts)
    return small, dataclasses.replace(config, backbone=dataclasses.replace(config.backbone, moe=moe))


def count_parameters(module: nn.Module) -> int:
    """Parameters of a module."""
    return sum(parameter.numel() for parameter in module.parameters())
