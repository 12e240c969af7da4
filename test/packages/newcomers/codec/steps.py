"""A codec without a network: the mean of every frame, in a number of steps."""

from dataclasses import dataclass
from pathlib import Path
from typing import override

import torch
import torch.nn.functional as F

from aio_toolkit.codec.base import ARCHITECTURE, Codec, CodecFingerprint, Encoded
from aio_toolkit.config import load_config


class Steps(Codec):
    """One codebook, one channel: code v stands for the level (2 v + 1) / V - 1."""

    @dataclass
    class Config:
        """Options.

        Attributes:
            kind: `steps`.
            hop: samples of a frame.
            num_steps: codes V.
        """

        kind: str = "steps"
        hop: int = 320
        num_steps: int = 8

    def __init__(self, config: Config):
        self._fingerprint = CodecFingerprint(
            "steps", "0", 16000, config.hop, 1, config.num_steps, 1
        )

    @classmethod
    @override
    def load(cls, where: Path | str, precision: str = "float32", device: str = "cpu") -> "Steps":
        return cls(load_config(cls.Config, Path(where, ARCHITECTURE)))

    @property
    @override
    def fingerprint(self) -> CodecFingerprint:
        return self._fingerprint

    @property
    @override
    def device(self) -> torch.device:
        return torch.device("cpu")

    @override
    def encode(
        self,
        wave_BS: torch.Tensor,
        lengths_B: torch.Tensor | None = None,
        num_codebooks: int | None = None,
    ) -> Encoded:
        padded_BS = F.pad(wave_BS, (0, -wave_BS.shape[-1] % self.hop))
        latents_BT1 = padded_BS.unflatten(-1, (-1, self.hop)).mean(-1, keepdim=True)
        return Encoded(self.quantize(latents_BT1), latents_BT1)

    @override
    def quantize(self, latents_BTC: torch.Tensor, num_codebooks: int | None = None) -> torch.Tensor:
        num_steps = self.fingerprint.codebook_size
        return ((latents_BTC + 1) / 2 * num_steps).long().clamp(0, num_steps - 1)

    @override
    def decode(
        self, codes_BTQ: torch.Tensor, lengths_B: torch.Tensor | None = None
    ) -> torch.Tensor:
        return self.decode_latents(self.codebook_embeddings()[0, codes_BTQ[..., 0]])

    @override
    def decode_latents(
        self, latents_BTC: torch.Tensor, lengths_B: torch.Tensor | None = None
    ) -> torch.Tensor:
        return latents_BTC[..., 0].repeat_interleave(self.hop, dim=-1)

    @override
    def codebook_embeddings(self) -> torch.Tensor:
        num_steps = self.fingerprint.codebook_size
        level_V = (2 * torch.arange(num_steps) + 1) / num_steps - 1
        return level_V[None, :, None]

    @override
    def silence_codes(self) -> torch.Tensor:
        return self.quantize(torch.zeros(1))
