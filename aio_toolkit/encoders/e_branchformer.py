"""The E-Branchformer (Kim et al. 2023), as ESPnet has it."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from aio_toolkit.encoders._espnet import EspnetEncoder
from aio_toolkit.ranges import bounded


class EBranchformerEncoder(EspnetEncoder):
    """Blocks whose attention and convolutional branch run side by side and are merged.

    Half a feed-forward layer stands before the branches, the other half after them.

    >>> import torch
    >>> sizes = EBranchformerEncoder.Config(width=8, num_layers=2, num_heads=2, conv_kernel=5)
    >>> encoder = EBranchformerEncoder(sizes).eval()
    >>> states = encoder(torch.randn(1, 6, 8), torch.ones(1, 6, dtype=torch.bool))
    >>> [tuple(state_BTD.shape) for state_BTD in states]
    [(1, 6, 8), (1, 6, 8)]
    """

    @dataclass
    class Config(EspnetEncoder.Config):
        """Size of the encoder.

        Attributes:
            ffn_width: width inside the feed-forward layers and inside the convolutional branch,
                whose gate halves it: even.
            conv_kernel: frames that the branch's and the merge's convolution see, odd.
        """

        ffn_width: int = bounded(768, least=1, multiple=2)

    def _make(self, config: EspnetEncoder.Config, shared: dict[str, Any]) -> nn.Module:
        # Imported where it is needed: it takes seconds.
        from espnet2.asr.encoder import e_branchformer_encoder

        return e_branchformer_encoder.EBranchformerEncoder(
            **shared,
            cgmlp_linear_units=config.ffn_width,
            cgmlp_conv_kernel=config.conv_kernel,
            merge_conv_kernel=config.conv_kernel,
            use_ffn=True,
            macaron_ffn=True,
        )
