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

    >>> Size(total=1234567, active=345678)
    Size(total=1234567, active=345678)
    """

    total: int
    active: int


def size_of_backbone(config: Backbone.Config, num_tasks: int) -> Size:
    """The size of the backbone that a configuration describes; no memory is taken for its weights.

    >>> size = size_of_backbone(Backbone.Config(), num_tasks=6)
    >>> size.active < size.total
    True
    """
    # On the meta device tensors have shapes and nothing else.
    with torch.device("meta"):
        backbone = Backbone(config, num_tasks)
    total = count_parameters(backbone)
    return Size(total, backbone.active_parameters())


def size_of_model(model: AioModel) -> Size:
    """The size of a whole model, its heads and its frozen encoder included.

    Of the backbone what one token of one task uses is active, of everything else all.
    """
    total = count_parameters(model)
    idle = count_parameters(model.backbone) - model.backbone.active_parameters()
    return Size(total, total - idle)


def describe_size(model: AioModel) -> str:
    """A line for people: parameters of the backbone, the heads and the frozen encoder.

    >>> from aio_toolkit.answers.text import TextUnits
    >>> from aio_toolkit.frames import FrameGrid
    >>> from aio_toolkit.models.ssl import SslEncoder
    >>> from aio_toolkit.tasks import Task
    >>> from aio_toolkit.text import Vocabulary
    >>> asr = Task("asr", "speech recognition", "text", ("text",), ("wer",))
    >>> units = {"text": TextUnits(Vocabulary(("<blank>", "a", "<asr>", "<eos>"), b""))}
    >>> encoder = SslEncoder(SslEncoder.Config(), FrameGrid(16000, 320))
    >>> line = describe_size(AioModel(AioModel.Config(), [asr], encoder, units))
    >>> line.split("; ")[1:]
    ['text head 0.89 M', 'frozen encoder 1.37 M']
    """
    size = size_of_backbone(model.config.backbone, len(model.tasks))
    total, active = _short(size.total), _short(size.active)
    backbone = f"backbone {total}, of which a token uses {active}"

    heads = []
    for kind, head in model.heads.items():
        count = count_parameters(head)
        heads.append(f"{kind} head {_short(count)}")
    encoder = _short(count_parameters(model.encoder))
    return f"parameters: {backbone}; {', '.join(heads)}; frozen encoder {encoder}"


def _short(count: int) -> str:
    """A number in millions."""
    millions = count / 1e6
    return f"{millions:.2f} M"
