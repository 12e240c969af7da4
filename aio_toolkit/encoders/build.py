"""Encoders by the name that a configuration gives."""

from torch import nn

from aio_toolkit.encoders.base import EncoderConfig
from aio_toolkit.encoders.transformer import TransformerEncoder
from aio_toolkit.errors import AioError

KINDS = ("transformer", "conformer", "e_branchformer")


def build_encoder(config: EncoderConfig) -> nn.Module:
    """The encoder called `config.kind`; AioError for an unknown kind or sizes that cannot be."""
    if config.width % config.num_heads:
        raise AioError(f"encoder.num_heads {config.num_heads} does not divide encoder.width {config.width}.")
    if config.kind == "transformer":
        return TransformerEncoder(config)
    if config.kind in KINDS:
        from aio_toolkit.encoders.espnet import EspnetEncoder

        return EspnetEncoder(config)
    raise AioError(f"unknown encoder.kind '{config.kind}'. Choose one of: {', '.join(KINDS)}.")
