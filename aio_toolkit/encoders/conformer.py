"""The Conformer (Gulati et al. 2020), as ESPnet has it."""

from typing import Any

from torch import nn

from aio_toolkit.encoders._espnet import EspnetEncoder


class ConformerEncoder(EspnetEncoder):
    """Blocks of half a feed-forward layer, self-attention, a convolution, and the other half.

    >>> import torch
    >>> sizes = ConformerEncoder.Config(width=8, num_layers=2, num_heads=2, conv_kernel=5)
    >>> encoder = ConformerEncoder(sizes).eval()
    >>> states = encoder(torch.randn(1, 6, 8), torch.ones(1, 6, dtype=torch.bool))
    >>> [tuple(state_BTD.shape) for state_BTD in states]
    [(1, 6, 8), (1, 6, 8)]
    """

    def _make(self, config: EspnetEncoder.Config, shared: dict[str, Any]) -> nn.Module:
        # Imported where it is needed: it takes seconds.
        from espnet2.asr.encoder import conformer_encoder

        return conformer_encoder.ConformerEncoder(
            **shared, macaron_style=True, cnn_module_kernel=config.conv_kernel
        )
