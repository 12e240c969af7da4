"""The contract of a codec, and the fingerprint that travels with its codes.

Letters used in this folder: B batch, S samples, T frames, Q codebooks, V codebook size, C latent channels.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import torch

from aio_toolkit.errors import AioError


@dataclass
class Encoded:
    """What a codec makes of waves.

    Attributes:
        codes_BTQ: int64 codes, T = ceil(S / hop).
        latents_BTC: the continuous latents before quantisation.
    """

    codes_BTQ: torch.Tensor
    latents_BTC: torch.Tensor


class Codec(Protocol):
    """A frozen neural audio codec."""

    sample_rate: int
    hop: int
    fingerprint: dict[str, Any]

    def encode(
        self, wave_BS: torch.Tensor, lengths_B: torch.Tensor | None = None, num_codebooks: int | None = None
    ) -> Encoded:
        """Codes and latents of mono waves, padded to a common length."""
        ...

    def quantise(self, latents_BTC: torch.Tensor, num_codebooks: int | None = None) -> torch.Tensor:
        """Codes (B, T, Q) of latents."""
        ...

    def decode(self, codes_BTQ: torch.Tensor, lengths_B: torch.Tensor | None = None) -> torch.Tensor:
        """Waves (B, T * hop) of the leading codebooks' codes."""
        ...

    def decode_latents(self, latents_BTC: torch.Tensor, lengths_B: torch.Tensor | None = None) -> torch.Tensor:
        """Waves (B, T * hop) of quantised or expected latents."""
        ...


def check_fingerprint(expected: dict[str, Any], found: dict[str, Any], what: str) -> None:
    """Refuse to mix codecs or front ends.

    Raises:
        AioError: the fingerprints differ; the message names the first difference.
    """
    for key in expected | found:
        if expected.get(key) != found.get(key):
            raise AioError(
                f"{what}: made for another one ({key} is {found.get(key)}, expected {expected.get(key)}). "
                "Use the matching one, or run the stages from 2 on in new folders (--dumpdir, --expdir)."
            )
