"""A trained DAC rearranged to run fast: the same function, without gradients.

On a CPU the package's model is bound by memory and by changes of layout more than by arithmetic.
Here tensors keep the channels of a step together from the first convolution to the last, which is
the layout of the fastest kernels, and residual units work through the audio in stretches that stay
in the cache. Letters: B batch, X and Y channels, S steps, K taps of a kernel.
"""

from typing import override

import torch
import torch.nn.functional as F
from torch import nn

# Bytes of an activation that a residual unit works on at once: the size of a core's own cache.
STRETCH = 1 << 21


def prepare(model: nn.Module) -> None:
    """Replace all layers of a `dac.DAC`'s encoder and decoder by those below, in place.

    >>> from aio_toolkit.codec.dac import Dac
    >>> from aio_toolkit.codec.dac_model import build_dac
    >>> model = build_dac(Dac.Config(encoder_dim=4, latent_dim=8, decoder_dim=16, n_codebooks=2))
    >>> prepare(model)
    >>> type(model.encoder.block[0]).__name__
    'Convolution'
    """
    fold_weight_norm(model)
    for network in (model.encoder, model.decoder):
        _replace_layers(network)


def fold_weight_norm(model: nn.Module) -> None:
    """Replace weight-normalised weights by their value, which else is computed at every call.

    >>> layer = nn.utils.weight_norm(nn.Conv1d(1, 1, 3))
    >>> fold_weight_norm(layer)
    >>> hasattr(layer, "weight_g")
    False
    """
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
    """The package's activation, x + sin^2(alpha x) / alpha (Ziyin et al. 2020).

    The result is bit-identical; it takes one buffer where the package takes five.

    >>> snake = Snake(torch.ones(1, 2, 1))
    >>> snake(torch.zeros(1, 2, 1)).flatten()
    tensor([0., 0.])
    """

    def __init__(self, alpha_1X1: torch.Tensor) -> None:
        """Take the trained alpha of each channel."""
        super().__init__()
        self.register_buffer("alpha_1X1", alpha_1X1.detach())
        self.register_buffer("inverse_1X1", (alpha_1X1.detach() + 1e-9).reciprocal())

    @override
    def forward(self, x_BXS: torch.Tensor, out_BXS: torch.Tensor | None = None) -> torch.Tensor:
        """The activation (B, X, S) of every value, in `out_BXS` where given."""
        y_BXS = torch.mul(x_BXS, self.alpha_1X1, out=out_BXS)
        y_BXS.sin_().square_()
        return y_BXS.mul_(self.inverse_1X1).add_(x_BXS)


class Convolution(nn.Conv1d):
    """A convolution whose tensors (B, X, S) keep the channels of a step side by side in memory.

    >>> layer = nn.Conv1d(3, 5, 7)
    >>> Convolution(layer)(torch.zeros(1, 3, 9)).shape
    torch.Size([1, 5, 3])
    """

    def __init__(self, layer: nn.Conv1d) -> None:
        """Take over the weights of torch's own layer."""
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
        """The convolution (B, Y, S')."""
        # conv1d knows nothing of the layout; conv2d, one of whose dimensions has one step, does.
        y_BY1S = F.conv2d(
            x_BXS[:, :, None],
            self.weight[:, :, None],
            self.bias,
            stride=(1, self.stride[0]),
            padding=(0, self.padding[0]),
            dilation=(1, self.dilation[0]),
        )
        return y_BY1S[:, :, 0]


class ResidualUnit(Convolution):
    """The package's unit, x + pointwise(snake(dilated(snake(x)))), of two convolutions.

    `kernel_size`, `padding` and `dilation` are those of the dilated convolution; everything else is
    pointwise. So `receptive_field` and `run_ragged` see the unit as one convolution.

    >>> from dac.model.dac import ResidualUnit as TheirUnit
    >>> unit = TheirUnit(4, dilation=3)
    >>> fold_weight_norm(unit)
    >>> with torch.no_grad():
    ...     ResidualUnit(unit)(torch.zeros(1, 4, 10)).shape
    torch.Size([1, 4, 10])
    """

    def __init__(self, unit: nn.Module) -> None:
        """Take over the weights of the package's unit, whose weight norm is folded."""
        snake, dilated, second_snake, pointwise = unit.block
        super().__init__(dilated)
        self.snake = Snake(snake.alpha)
        self.second_snake = Snake(second_snake.alpha)
        self.register_buffer("second_weight_XXK", _channels_last(pointwise.weight.detach()))
        self.register_buffer("second_bias_X", pointwise.bias.detach())

    @override
    def forward(self, x_BXS: torch.Tensor) -> torch.Tensor:
        """The unit's output (B, X, S), computed a stretch of steps at a time."""
        B, X, S = x_BXS.shape
        y_BXS = _new(x_BXS, S)
        bytes_a_step = B * X * x_BXS.element_size()
        stretch = max(1, STRETCH // bytes_a_step)
        for first in range(0, S, stretch):
            last = min(first + stretch, S)
            steps = min(_rounded(last - first), stretch)
            branch_BXS = self._branch(x_BXS, first, last, steps)
            torch.add(
                x_BXS[..., first:last],
                branch_BXS[..., : last - first],
                out=y_BXS[..., first:last],
            )
        return y_BXS

    def _branch(self, x_BXS: torch.Tensor, first: int, last: int, steps: int) -> torch.Tensor:
        """What is added to the input from step `first` to `last`, then anything up to `steps`."""
        # The window holds what the dilated convolution hears; beyond the audio's ends that is zero.
        reach = self.padding[0]
        start = first - reach
        begin = max(0, start)
        end = min(x_BXS.shape[-1], last + reach)

        window_BXS = _new(x_BXS, steps + 2 * reach)
        window_BXS[..., : begin - start] = 0
        window_BXS[..., end - start :] = 0
        heard_BXS = window_BXS[..., begin - start : end - start]
        self.snake(x_BXS[..., begin:end], heard_BXS)

        middle_BXS = _dilated(window_BXS, self.weight, self.bias, self.dilation[0])
        active_BXS = self.second_snake(middle_BXS)
        # Dilation means nothing for a kernel of one, but makes torch choose oneDNN's kernel, which
        # is twice as fast on one thread.
        return _dilated(active_BXS, self.second_weight_XXK, self.second_bias_X, 2)


class TransposedConvolution(nn.ConvTranspose1d):
    """A transposed convolution with the layout of `Convolution`.

    >>> layer = nn.ConvTranspose1d(3, 5, 4, stride=2)
    >>> TransposedConvolution(layer)(torch.zeros(1, 3, 9)).shape
    torch.Size([1, 5, 20])
    """

    def __init__(self, layer: nn.ConvTranspose1d) -> None:
        """Take over the weights of torch's own layer."""
        super().__init__(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,
            layer.stride,
            layer.padding,
            device="meta",
        )
        self.weight, self.bias = _channels_last(layer.weight), layer.bias

    @override
    def forward(self, x_BXS: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """The transposed convolution (B, Y, S')."""
        y_BY1S = F.conv_transpose2d(
            x_BXS[:, :, None],
            self.weight[:, :, None],
            self.bias,
            stride=(1, self.stride[0]),
            padding=(0, self.padding[0]),
        )
        return y_BY1S[:, :, 0]


def _dilated(
    x_BXS: torch.Tensor, weight_YXK: torch.Tensor, bias_Y: torch.Tensor, dilation: int
) -> torch.Tensor:
    """A convolution without padding, by conv2d for the layout's sake."""
    y_BY1S = F.conv2d(
        x_BXS[:, :, None],
        weight_YXK[:, :, None],
        bias_Y,
        dilation=(1, dilation),
    )
    return y_BY1S[:, :, 0]


def _channels_last(weight_YXK: torch.Tensor) -> nn.Parameter:
    """The same weight with X innermost in memory."""
    data_YKX = weight_YXK.detach().transpose(1, 2).contiguous()
    return nn.Parameter(data_YKX.transpose(1, 2), requires_grad=False)


def _new(x_BXS: torch.Tensor, steps: int) -> torch.Tensor:
    """An empty (B, X, steps) tensor with X innermost in memory."""
    B, X, _ = x_BXS.shape
    return x_BXS.new_empty(B, steps, X).transpose(1, 2)


def _rounded(steps: int) -> int:
    """`steps` rounded up to one of a few sizes, by a quarter at most above sixteen steps."""
    # oneDNN compiles a kernel for every length that it meets.
    unit = 1 << max(4, steps.bit_length() - 3)
    return -(-steps // unit) * unit
