"""A trained DAC rearranged to run fast: the same function, without gradients. Letters: B batch, X channels, S steps.

On a CPU the package's model is bound by memory and by changes of layout more than by arithmetic. Here tensors keep
the channels of a step together from the first convolution to the last, which is the layout of the fastest kernels,
and residual units work through the audio in stretches that stay in the cache.
"""

from typing import override

import torch
import torch.nn.functional as F
from torch import nn

# Bytes of an activation that a residual unit works on at once; a core's own cache is about as large.
STRETCH = 1 << 21


def prepare(model: nn.Module) -> None:
    """Replace the layers of a `dac.DAC`'s encoder and decoder by those below and fold all weight norms, in place."""
    fold_weight_norm(model)
    for network in (model.encoder, model.decoder):
        _replace_layers(network)


def fold_weight_norm(model: nn.Module) -> None:
    """Replace weight-normalised weights by their value: the same result without its cost at every call."""
    for module in model.modules():
        if hasattr(module, "weight_g"):
            nn.utils.remove_weight_norm(module)


def _replace_layers(network: nn.Module) -> None:
    from dac.model import dac
    from dac.nn.layers import Snake1d

    replacement = {
        Snake1d: lambda layer: Snake(layer.alpha),
        dac.ResidualUnit: ResidualUnit,
        nn.Conv1d: Convolution,
        nn.ConvTranspose1d: TransposedConvolution,
    }
    for name, layer in network.named_children():
        if type(layer) in replacement:
            setattr(network, name, replacement[type(layer)](layer))
        else:
            _replace_layers(layer)


class Snake(nn.Module):
    """The package's activation, x + sin^2(alpha x) / alpha, with the same result and one buffer instead of five."""

    def __init__(self, alpha_1X1: torch.Tensor):
        super().__init__()
        self.register_buffer("alpha_1X1", alpha_1X1.detach())
        self.register_buffer("inverse_1X1", (alpha_1X1.detach() + 1e-9).reciprocal())

    @override
    def forward(self, x_BXS: torch.Tensor, out_BXS: torch.Tensor | None = None) -> torch.Tensor:
        """The activation of every value, (B, X, S), in `out_BXS` where given."""
        y_BXS = torch.mul(x_BXS, self.alpha_1X1, out=out_BXS)
        return y_BXS.sin_().square_().mul_(self.inverse_1X1).add_(x_BXS)


class Convolution(nn.Conv1d):
    """A convolution that reads and writes (B, X, S) tensors with the channels of a step side by side in memory."""

    def __init__(self, layer: nn.Conv1d):
        super().__init__(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,
            layer.stride,
            layer.padding,
            layer.dilation,
            device="meta",
        )
        self.weight, self.bias = _channels_last(layer.weight), layer.bias

    @override
    def forward(self, x_BXS: torch.Tensor) -> torch.Tensor:
        return _convolve(x_BXS, self.weight, self.bias, self.stride[0], self.padding[0], self.dilation[0])


class ResidualUnit(Convolution):
    """The package's unit, x + conv(snake(dilated_conv(snake(x)))), whose second convolution has a kernel of one.

    To whoever asks for kernel, padding and dilation it is its dilated convolution: the rest sees one step at a time.
    """

    def __init__(self, unit: nn.Module):
        snake, dilated, second_snake, pointwise = unit.block
        super().__init__(dilated)
        self.snake, self.second_snake = Snake(snake.alpha), Snake(second_snake.alpha)
        self.register_buffer("second_weight_XXK", _channels_last(pointwise.weight.detach()))
        self.register_buffer("second_bias_X", pointwise.bias.detach())

    @override
    def forward(self, x_BXS: torch.Tensor) -> torch.Tensor:
        B, X, S = x_BXS.shape
        y_BXS = _new(x_BXS, S)
        stretch = max(1, STRETCH // (B * X * x_BXS.element_size()))
        for first in range(0, S, stretch):
            last = min(first + stretch, S)
            branch_BXS = self._branch(x_BXS, first, last, min(_rounded(last - first), stretch))
            torch.add(x_BXS[..., first:last], branch_BXS[..., : last - first], out=y_BXS[..., first:last])
        return y_BXS

    def _branch(self, x_BXS: torch.Tensor, first: int, last: int, steps: int) -> torch.Tensor:
        """What is added to the input from step `first` to `last`, then anything up to `steps`."""
        reach = self.padding[0]
        begin, end = max(0, first - reach), min(x_BXS.shape[-1], last + reach)
        window_BXS = _new(x_BXS, steps + 2 * reach)
        before, after = begin - (first - reach), end - (first - reach)
        window_BXS[..., :before] = 0
        window_BXS[..., after:] = 0
        self.snake(x_BXS[..., begin:end], window_BXS[..., before:after])
        hidden_BXS = _convolve(window_BXS, self.weight, self.bias, dilation=self.dilation[0])
        # A kernel of one cannot be dilated; told that it is, torch takes oneDNN's, on one thread twice as fast.
        return _convolve(self.second_snake(hidden_BXS), self.second_weight_XXK, self.second_bias_X, dilation=2)


class TransposedConvolution(nn.ConvTranspose1d):
    """A transposed convolution with the layout of `Convolution`."""

    def __init__(self, layer: nn.ConvTranspose1d):
        super().__init__(
            layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding, device="meta"
        )
        self.weight, self.bias = _channels_last(layer.weight), layer.bias

    @override
    def forward(self, x_BXS: torch.Tensor) -> torch.Tensor:
        y_BX1S = F.conv_transpose2d(
            x_BXS[:, :, None], self.weight[:, :, None], self.bias, (1, self.stride[0]), (0, self.padding[0])
        )
        return y_BX1S[:, :, 0]


def _convolve(
    x_BXS: torch.Tensor, weight_YXK: torch.Tensor, bias_Y: torch.Tensor, stride: int = 1, padding: int = 0,
    dilation: int = 1,
) -> torch.Tensor:  # fmt: skip
    """A convolution in two dimensions, of which one has a single step: only those know the layout."""
    y_BY1S = F.conv2d(x_BXS[:, :, None], weight_YXK[:, :, None], bias_Y, (1, stride), (0, padding), (1, dilation))
    return y_BY1S[:, :, 0]


def _channels_last(weight_YXK: torch.Tensor) -> nn.Parameter:
    """The same weight with X innermost in memory."""
    data_YXK = weight_YXK.detach().transpose(1, 2).contiguous().transpose(1, 2)
    return nn.Parameter(data_YXK, requires_grad=False)


def _new(x_BXS: torch.Tensor, steps: int) -> torch.Tensor:
    """An empty (B, X, steps) tensor with X innermost in memory."""
    B, X, _ = x_BXS.shape
    return x_BXS.new_empty(B, steps, X).transpose(1, 2)


def _rounded(steps: int) -> int:
    """A little more than `steps`, of which there are few: kernels are compiled for every length that comes up."""
    unit = 1 << max(4, steps.bit_length() - 3)
    return -(-steps // unit) * unit
