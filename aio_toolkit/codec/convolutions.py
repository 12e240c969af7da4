"""What running a convolutional network in batches and pieces has to know. Letters: B batch, X channels, S steps."""

import math

import torch
from torch import nn


def receptive_field(network: nn.Module) -> float:
    """Width, in steps of the input, of what one step of the output depends on, for layers in a chain.

    Branches beside a residual connection are part of the chain; layers that divide the rate count their output
    in fractions of an input step.
    """
    width, step = 1.0, 1.0
    for layer in network.modules():
        if isinstance(layer, nn.Conv1d):
            width += (layer.kernel_size[0] - 1) * layer.dilation[0] * step
            step *= layer.stride[0]
        elif isinstance(layer, nn.ConvTranspose1d):
            step /= layer.stride[0]
            width += (layer.kernel_size[0] - 1) * step
    return width


def context(network: nn.Module) -> int:
    """Steps of input, from the middle of an output step, beyond which nothing is heard."""
    return math.ceil(receptive_field(network) / 2)


def run_ragged(network: nn.Module, x_BXS: torch.Tensor, lengths_B: torch.Tensor | None) -> torch.Tensor:
    """Run a chain of convolutions on a batch so that each row gives what it would give alone.

    A network pads with zeros at every convolution; a row followed by padding sees what the layers below made of
    the padding instead. So everything beyond a row's end is set to zero before every convolution.

    Args:
        network: the chain.
        x_BXS: padded rows.
        lengths_B: steps of each row; None if all rows are full.

    Returns:
        The output, zero beyond the end of each row.
    """
    if lengths_B is None:
        return network(x_BXS)
    left_B = lengths_B.clone()

    def mask(layer: nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        return (_zero_after(inputs[0], left_B),)

    def shorten(layer: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        stride, kernel, padding = layer.stride[0], layer.kernel_size[0], layer.padding[0]
        if isinstance(layer, nn.ConvTranspose1d):
            left_B.copy_((left_B - 1) * stride - 2 * padding + kernel)
        else:
            reach = layer.dilation[0] * (kernel - 1)
            left_B.copy_((left_B + 2 * padding - reach - 1).div(stride, rounding_mode="floor") + 1)

    hooks = []
    for layer in network.modules():
        if isinstance(layer, nn.Conv1d | nn.ConvTranspose1d):
            hooks += [layer.register_forward_pre_hook(mask), layer.register_forward_hook(shorten)]
    try:
        return _zero_after(network(x_BXS), left_B)
    finally:
        for hook in hooks:
            hook.remove()


def _zero_after(x_BXS: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
    steps_S = torch.arange(x_BXS.shape[-1], device=x_BXS.device)
    return x_BXS * (steps_S < lengths_B[:, None])[:, None]
