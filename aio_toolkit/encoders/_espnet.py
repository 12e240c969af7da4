"""ESPnet's encoders behind the contract: what its Conformer and E-Branchformer have in common."""

import contextlib
import io
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from aio_toolkit.encoders.base import Encoder
from aio_toolkit.ranges import bounded


class EspnetEncoder(Encoder):
    """An encoder of ESPnet with relative positions and no subsampling.

    It has no dropout: pre-training has audio enough, and on a CPU element-wise dropout costs more
    than it brings. Its last norm is left out of the states, as it follows the last block.
    """

    @dataclass
    class Config(Encoder.Config):
        """Size of the encoder.

        Attributes:
            num_heads: attention heads; must divide `width`.
            ffn_width: width inside the feed-forward layers.
            conv_kernel: frames that each block's convolutions see, odd.
        """

        num_heads: int = bounded(4, least=1, divides="width")
        ffn_width: int = bounded(768, least=1)
        conv_kernel: int = bounded(31, least=1, odd=True)

    def __init__(self, config: Config):
        """Make ESPnet's encoder."""
        super().__init__(config)
        self.width = config.width
        self.num_layers = config.num_layers
        # On import ESPnet reports that flash attention is absent, which nobody here asks for.
        with contextlib.redirect_stderr(io.StringIO()):
            self.encoder = self._make(config, _shared_options(config))
        # It never gets a gradient, for which data-parallel training would wait.
        unused: Any = self.encoder.after_norm
        for parameter in unused.parameters():
            parameter.requires_grad = False
        # ESPnet's convolutions do not know of padding, which would leak into the last real frames.
        self.valid_B1T = torch.ones(1, 1, 1, dtype=torch.bool)
        for module in self.encoder.modules():
            if isinstance(module, nn.Conv1d) and module.kernel_size[0] > 1:
                module.register_forward_pre_hook(self._silence_padding)

    @abstractmethod
    def _make(self, config: Any, shared: dict[str, Any]) -> nn.Module:
        """ESPnet's module, from the options of its own and those that all its encoders have."""

    def forward(self, x_BTD: torch.Tensor, valid_BT: torch.Tensor) -> list[torch.Tensor]:
        """States (B, T, D) of every block."""
        self.valid_B1T = valid_BT[:, None]
        lengths_B = valid_BT.sum(1)
        # ESPnet looks for `masks` that are True on padding.
        output, _, _ = self.encoder(x_BTD, lengths_B, masks=~valid_BT, return_all_hs=True)
        _, states = output
        return states

    def _silence_padding(
        self, layer: nn.Module, inputs: tuple[torch.Tensor]
    ) -> tuple[torch.Tensor]:
        """Zero what a convolution is given on padding."""
        (x_BCT,) = inputs
        return (x_BCT * self.valid_B1T,)


def _shared_options(config: EspnetEncoder.Config) -> dict[str, Any]:
    return {
        "input_size": config.width,
        "output_size": config.width,
        "attention_heads": config.num_heads,
        "linear_units": config.ffn_width,
        "num_blocks": config.num_layers,
        "dropout_rate": 0.0,
        "positional_dropout_rate": 0.0,
        "input_layer": None,
        "rel_pos_type": "latest",
        "use_flash_attn": False,
    }
