"""How large a model is: all parameters, and those that one token uses."""

from dataclasses import dataclass

import torch

from aio_toolkit.layers import count_parameters
from aio_toolkit.models.aio import AioModel
from aio_toolkit.models.backbone import Backbone


@dataclass(frozen=True)
class Size:
    """Numbers of parameters.

    Attributes:
        total: all.
        active: those that one token of one task uses.
    """

    total: int
    active: int


def size_of_backbone(config: Backbone.Config, num_tasks: int) -> Size:
    """The size of the backbone that a configuration describes; no memory is taken for its weights.

    >>> size = size_of_backbone(Backbone.Config(), num_tasks=6)
    >>> size.active < size.total
    True
    """
    with torch.device("meta"):
        backbone = Backbone(config, num_tasks)
    return Size(count_parameters(backbone), backbone.active_parameters())


def describe_size(model: AioModel) -> str:
    """A line for people: parameters of the frozen encoder, the backbone and the heads."""
    backbone = size_of_backbone(model.config.backbone, len(model.tasks))
    heads = ", ".join(
        f"{kind} head {_short(count_parameters(h))}" for kind, h in model.heads.items()
    )
    return (
        f"parameters: backbone {_short(backbone.total)}, of which a token uses "
        f"{_short(backbone.active)}; {heads}; frozen encoder {_short(count_parameters(model.encoder))}"
    )


def _short(count: int) -> str:
    """A number in millions.

    >>> _short(1234567)
    '1.23 M'
    """
    return f"{count / 1e6:.2f} M"
