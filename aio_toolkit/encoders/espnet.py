"""ESPnet's Conformer (Gulati et al. 2020) and E-Branchformer (Kim et al. 2023) behind the contract of an encoder."""

import contextlib
import io

import torch
from torch import nn

from aio_toolkit.encoders.base import EncoderConfig
from aio_toolkit.errors import AioError


class EspnetEncoder(nn.Module):
    """Implements `encoders.base.Encoder`; no dropout, as pre-training data are not short."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        if config.conv_kernel % 2 == 0:
            raise AioError(f"encoder.conv_kernel of a {config.kind} is odd, not {config.conv_kernel}.")
        self.width = config.width
        self.num_layers = config.num_layers
        self.encoder = _build(config)
        # Its convolutions do not know of padding: what stands there would leak into the last real frames.
        self.valid_B1T: torch.Tensor | None = None
        for module in self.encoder.modules():
            if isinstance(module, nn.Conv1d) and module.kernel_size[0] > 1:
                module.register_forward_pre_hook(self._silence_padding)

    def _silence_padding(self, layer: nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        return (inputs[0] * self.valid_B1T,)

    def forward(self, x_BTD: torch.Tensor, valid_BT: torch.Tensor) -> list[torch.Tensor]:
        """Hidden states (B, T, D) of every block."""
        self.valid_B1T = valid_BT[:, None]
        (_, states), _, _ = self.encoder(x_BTD, valid_BT.sum(1), masks=~valid_BT, return_all_hs=True)
        return states


def _build(config: EncoderConfig) -> nn.Module:
    shared = {
        "input_size": config.width,
        "output_size": config.width,
        "attention_heads": config.num_heads,
        "linear_units": config.hidden,
        "num_blocks": config.num_layers,
        "dropout_rate": 0.0,
        "positional_dropout_rate": 0.0,
        "input_layer": None,
        "rel_pos_type": "latest",
        "use_flash_attn": False,
    }
    with contextlib.redirect_stderr(io.StringIO()):  # it reports the absence of flash attention on import
        if config.kind == "conformer":
            from espnet2.asr.encoder.conformer_encoder import ConformerEncoder

            return ConformerEncoder(**shared, macaron_style=True, cnn_module_kernel=config.conv_kernel)
        from espnet2.asr.encoder.e_branchformer_encoder import EBranchformerEncoder

        return EBranchformerEncoder(
            **shared,
            cgmlp_linear_units=config.hidden,
            cgmlp_conv_kernel=config.conv_kernel,
            merge_conv_kernel=config.conv_kernel,
            use_ffn=True,
            macaron_ffn=True,
        )
