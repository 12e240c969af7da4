"""Weights rounded to float16, in which packs may keep them."""

from collections.abc import Mapping

import torch
from torch import nn

from aio_toolkit.errors import AioError


def halved(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Floats as float16. Weights are small numbers: float16 keeps three bits more of them than
    bfloat16, whose range they do not need.

    Args:
        state: tensors by name.

    Raises:
        AioError: a number is too large for it.

    >>> found = halved({"weight": torch.tensor([1.0001]), "count": torch.tensor([3])})
    >>> found["weight"], found["count"]
    (tensor([1.], dtype=torch.float16), tensor([3]))
    """
    found = {}
    for name, value in state.items():
        if value.dtype == torch.float32:
            small = value.half()
            if bool((value.isfinite() & ~small.isfinite()).any()):
                raise AioError(f"{name} holds numbers beyond float16. Leave its weights whole.")
            found[name] = small
        else:
            found[name] = value
    return found


def round_weights(model: nn.Module) -> None:
    """Give a model the weights that it has after it was packed as float16; it computes as before.

    Raises:
        AioError: as `halved`.

    >>> model = nn.Linear(1, 1)
    >>> nn.init.constant_(model.weight, 1.0001).item() == 1.0
    False
    >>> round_weights(model)
    >>> model.weight.item(), model.weight.dtype
    (1.0, torch.float32)
    """
    model.load_state_dict(halved(model.state_dict()))
