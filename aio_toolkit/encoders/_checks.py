"""Checks of sizes that several encoders share."""

from aio_toolkit.encoders.base import Encoder
from aio_toolkit.errors import AioError


def check_heads(encoder: Encoder, width: int, num_heads: int) -> None:
    """Refuse a width that cannot be divided among the attention heads.

    Raises:
        AioError: `num_heads` does not divide `width`.
    """
    if width % num_heads:
        section = _section_of(encoder)
        raise AioError(f"{section}.num_heads {num_heads} does not divide {section}.width {width}.")


def check_kernel(encoder: Encoder, kernel: int) -> None:
    """Refuse a convolution that has no middle frame: its output would lie between two frames.

    Raises:
        AioError: `kernel` is even.
    """
    if kernel % 2 == 0:
        raise AioError(f"{_section_of(encoder)}.conv_kernel must be odd, not {kernel}.")


def check_halves(encoder: Encoder, ffn_width: int) -> None:
    """Refuse a width that a gate cannot halve.

    Raises:
        AioError: `ffn_width` is odd.
    """
    if ffn_width % 2:
        raise AioError(f"{_section_of(encoder)}.ffn_width must be even, not {ffn_width}.")


def _section_of(encoder: Encoder) -> str:
    """Where its options stand in YAML: `encoder.conformer`."""
    # A part's kind is the name of its file.
    kind = type(encoder).__module__.rpartition(".")[2]
    return f"encoder.{kind}"
