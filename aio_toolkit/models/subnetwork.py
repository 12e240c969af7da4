"""A small model cut out of the whole: one task, and the experts that it visits (Mod-Squad, Chen et
al. 2023, 3.4)."""

import copy

from torch import nn

from aio_toolkit.errors import AioError
from aio_toolkit.models.aio import AioModel
from aio_toolkit.moe.base import RoutingTable, Tables
from aio_toolkit.tasks import Task

# Experts of each MoE layer, by the layer's name.
Kept = dict[str, list[int]]


def choose_experts(
    tables: Tables, task: int, min_load: float = 0.0, max_experts: int | None = None
) -> Kept:
    """Experts of each layer that a task needs, in ascending order.

    Args:
        tables: routing of the model on some data of the task.
        task: its index.
        min_load: usage rule: experts with more than this share of an even load are kept; 0 keeps
            all that were visited. The busiest always is.
        max_experts: fixed budget: at most so many experts of a layer, the busiest.

    Raises:
        AioError: the tables hold no token of the task.
    """
    return {name: _choose(table, task, min_load, max_experts) for name, table in tables.items()}


def _choose(table: RoutingTable, task: int, min_load: float, max_experts: int | None) -> list[int]:
    if table.tokens_G[task] == 0:
        raise AioError(
            "the data has no utterance of the task: nothing says which experts it visits."
        )
    load_E = table.load_GE()[task]
    order = load_E.argsort(descending=True, stable=True).tolist()
    threshold = min_load / len(load_E)
    used = [expert for expert in order if load_E[expert] > threshold] or order[:1]
    return sorted(used[:max_experts])


def extract(model: AioModel, task: Task, kept: Kept) -> AioModel:
    """The model that answers `task` alone with the kept experts.

    With all experts kept that the task visits, its outputs are those of the whole model.

    Raises:
        AioError: the model does not know the task, or its routers' choices depend on the experts
            that would be thrown away.
    """
    names = [known.name for known in model.tasks]
    if task.name not in names:
        raise AioError(f"the model has no task '{task.name}'. Its tasks: {', '.join(names)}.")
    for name, layer in model.backbone.moe_layers().items():
        if not layer.router.survives_cut:
            raise AioError(
                f"the router of {name} weighs a token's experts by all of them, so none can be taken "
                "away. Extraction needs a gate with renormalise: true and top_p: null."
            )

    small = copy.deepcopy(model)
    index = names.index(task.name)
    small.tasks = [task]
    small.units = {task.output: small.units[task.output]}
    small.backbone.keep(index, kept)
    small.heads = nn.ModuleDict({task.output: small.heads[task.output]})
    small.head_of(task).keep(task)
    return small


def shrink(model: AioModel, num_experts: dict[str, int]) -> None:
    """Give each MoE layer of a model for one task so many experts, whatever they are.

    Loading the weights of a sub-network needs the shapes only.
    """
    model.backbone.keep(0, {name: list(range(count)) for name, count in num_experts.items()})
