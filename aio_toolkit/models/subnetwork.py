"""A small model cut out of the whole: one task, and the experts that it visits.

Mod-Squad, Chen et al. 2023, section 3.4. Letters: E experts, G tasks.
"""

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

    >>> import torch
    >>> count_GE = torch.tensor([[6.0, 0.0, 3.0, 1.0]])
    >>> table = RoutingTable(count_GE.sum(1), *[count_GE] * 4, torch.zeros(1))
    >>> choose_experts({"block1.feed_forward": table}, task=0)
    {'block1.feed_forward': [0, 2, 3]}
    >>> choose_experts({"block1.feed_forward": table}, task=0, max_experts=2)
    {'block1.feed_forward': [0, 2]}
    """
    kept = {}
    for name, table in tables.items():
        used = _by_load(table, task, min_load)
        kept[name] = sorted(used[:max_experts])
    return kept


def _by_load(table: RoutingTable, task: int, min_load: float) -> list[int]:
    """The experts that a task uses, the busiest first."""
    if table.tokens_G[task] == 0:
        problem = "the data has no utterance of the task"
        raise AioError(f"{problem}: nothing says which experts it visits.")
    load_E = table.load_GE()[task]
    order_E = load_E.argsort(descending=True, stable=True)
    threshold = min_load / len(load_E)
    used_X = order_E[load_E[order_E] > threshold]
    # A threshold may be more than even the busiest has.
    return used_X.tolist() or order_E[:1].tolist()


def extract(model: AioModel, task: Task, kept: Kept) -> AioModel:
    """The model that answers `task` alone with the kept experts.

    With all experts kept that the task visits, its outputs are those of the whole model.

    Args:
        model: the whole model, which is left as it is.
        task: one of its tasks.
        kept: experts of each MoE layer, by the layer's name, see `choose_experts`.

    Raises:
        AioError: the model does not know the task, or its routers' choices depend on the experts
            that would be thrown away.

    >>> from aio_toolkit.answers.text import TextUnits
    >>> from aio_toolkit.frames import FrameGrid
    >>> from aio_toolkit.models.ssl import SslEncoder
    >>> from aio_toolkit.text import Vocabulary
    >>> asr, st = (Task(name, "", "text", ("text",), ()) for name in ("asr", "st"))
    >>> units = {"text": TextUnits(Vocabulary(("<blank>", "a", "<asr>", "<st>", "<eos>"), b""))}
    >>> encoder = SslEncoder(SslEncoder.Config(), FrameGrid(16000, 320))
    >>> model = AioModel(AioModel.Config(), [asr, st], encoder, units)
    >>> small = extract(model, st, dict.fromkeys(model.backbone.moe_layers(), [5, 0]))
    >>> [task.name for task in small.tasks]
    ['st']
    >>> {layer.router.num_experts for layer in small.backbone.moe_layers().values()}
    {2}
    """
    names = [known.name for known in model.tasks]
    if task.name not in names:
        raise AioError(f"the model has no task '{task.name}'. Its tasks: {', '.join(names)}.")
    for name, layer in model.backbone.moe_layers().items():
        if not layer.router.survives_cut:
            problem = f"the router of {name} weighs a token's experts by all of them"
            remedy = "Extraction needs a gate with renormalise: true and top_p: null."
            raise AioError(f"{problem}, so none can be taken away. {remedy}")

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

    Args:
        model: a model as it was before the cut, except that it has one task.
        num_experts: experts left in each MoE layer, by the layer's name.
    """
    first_ones = {name: list(range(count)) for name, count in num_experts.items()}
    model.backbone.keep(0, first_ones)
