"""Receptive fields, and length bookkeeping for padded batches and pieces.

Letters: B batch, X channels, S steps.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn


def receptive_field(network: nn.Module) -> float:
    """Width, in steps of the input, of what one step of the output depends on.

    The layers are taken for a chain: those of a branch beside a residual connection count like all
    others. Layers that divide the rate count their output in fractions of an input step.

    >>> receptive_field(nn.Conv1d(1, 1, kernel_size=7, dilation=3))
    19.0
    """
    width, step = 1.0, 1.0
    for layer in network.modules():
        if isinstance(layer, nn.Conv1d):
            reach = (layer.kernel_size[0] - 1) * layer.dilation[0]
            width += reach * step
            step *= layer.stride[0]
        elif isinstance(layer, nn.ConvTranspose1d):
            step /= layer.stride[0]
            reach = layer.kernel_size[0] - 1
            width += reach * step
    return width


def context(network: nn.Module) -> int:
    """Steps of input, from the middle of an output step, beyond which nothing is heard.

    >>> context(nn.Conv1d(1, 1, kernel_size=7, dilation=3))
    10
    """
    return math.ceil(receptive_field(network) / 2)


def fit_length(wave: torch.Tensor, num_samples: int) -> torch.Tensor:
    """Crop waves (..., S), or pad them with zeros, to `num_samples`.

    >>> fit_length(torch.ones(1, 2), 3)
    tensor([[1., 1., 0.]])
    """
    missing = max(0, num_samples - wave.shape[-1])
    return F.pad(wave, (0, missing))[..., :num_samples]


def run_ragged(
    network: nn.Module, x_BXS: torch.Tensor, lengths_B: torch.Tensor | None
) -> torch.Tensor:
    """Run a chain of convolutions on a padded batch; each row gives what it would give alone.

    A network pads with zeros at every convolution. Inside a batch, a row is followed instead by
    what the layers below made of its padding. So, before every convolution, everything beyond a
    row's end is set to zero.

    Args:
        network: the chain.
        x_BXS: padded rows.
        lengths_B: steps of each row; None if all rows are full.

    Returns:
        The output, zero beyond the end of each row.

    >>> layer = nn.Conv1d(1, 1, kernel_size=3, padding=1)
    >>> rows_B1S, lengths_B = torch.ones(2, 1, 5), torch.tensor([5, 2])
    >>> out_B1S = run_ragged(layer, rows_B1S, lengths_B)
    >>> torch.allclose(out_B1S[1, :, :2], layer(rows_B1S[1, :, :2]))
    True
    """
    if lengths_B is None:
        return network(x_BXS)
    # Steps of each row where the data stands now; the hooks below keep it up to date.
    left_B = lengths_B.clone()

    def mask(layer: nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        """Before a convolution: nothing beyond the rows' ends."""
        return (_zero_after(inputs[0], left_B),)

    def shorten(layer: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        """After it: the rows' new ends."""
        left_B.copy_(_output_lengths(layer, left_B))

    hooks = []
    for layer in network.modules():
        if isinstance(layer, nn.Conv1d | nn.ConvTranspose1d):
            hooks.append(layer.register_forward_pre_hook(mask))
            hooks.append(layer.register_forward_hook(shorten))
    try:
        return _zero_after(network(x_BXS), left_B)
    finally:
        for hook in hooks:
            hook.remove()


def _output_lengths(layer: nn.Module, lengths_B: torch.Tensor) -> torch.Tensor:
    """Steps that a convolution makes of rows of so many steps."""
    stride = layer.stride[0]
    kernel = layer.kernel_size[0]
    padding = layer.padding[0]
    if isinstance(layer, nn.ConvTranspose1d):
        first_to_last_B = (lengths_B - 1) * stride
        return first_to_last_B - 2 * padding + kernel

    reach = layer.dilation[0] * (kernel - 1)
    first_to_last_B = lengths_B + 2 * padding - reach - 1
    return first_to_last_B.div(stride, rounding_mode="floor") + 1


def _zero_after(x_BXS: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
    steps_S = torch.arange(x_BXS.shape[-1], device=x_BXS.device)
    is_real_BS = steps_S < lengths_B[:, None]
    return x_BXS * is_real_BS[:, None]
