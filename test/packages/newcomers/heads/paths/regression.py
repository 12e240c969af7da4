"""Latents by plain regression, without the mixture."""

from dataclasses import dataclass
from typing import ClassVar, override

import torch
from torch import nn

from aio_toolkit.answers.audio import CodecUnits
from aio_toolkit.codec.base import Codec
from aio_toolkit.heads.paths.base import CodePath, References, SourceFrames
from aio_toolkit.loss import Loss


class RegressionPath(CodePath):
    """A linear layer to the codec's latents, by squared error."""

    modes: ClassVar[tuple[str, ...]] = ("regression",)
    learns_from_codes = True

    @dataclass
    class Config(CodePath.Config):
        """Options.

        Attributes:
            weight: weight of the squared error; 0 leaves the path out.
            bias: whether the layer has one.
        """

        weight: float = 0.0
        bias: bool = True

    def __init__(self, config: Config, width: int, units: CodecUnits):
        super().__init__(config, width, units)
        num_channels = units.embedding_QVC.shape[-1]
        self.linear = nn.Linear(width, num_channels, bias=config.bias)
        self.register_buffer("embedding_QVC", units.embedding_QVC.clone(), persistent=False)

    @override
    def costs(self, frames: SourceFrames, references: References) -> torch.Tensor:
        with torch.no_grad():
            estimate_BNTC = self._estimate(frames).flatten(2)
            true_BNTC = self._embed(frames, references.codes()).flatten(2)
            return torch.cdist(estimate_BNTC, true_BNTC).square()

    @override
    def loss(self, frames: SourceFrames, references: References) -> Loss:
        error_BNTC = self._estimate(frames) - self._embed(frames, references.codes())
        return Loss(error_BNTC.square().mean())

    @override
    def outputs(
        self, frames: SourceFrames, codec: Codec | None, mode: str
    ) -> dict[str, torch.Tensor]:
        if codec is None:
            return {}
        latents_BNTC = self._estimate(frames)
        waves_MS = codec.decode_latents(latents_BNTC.flatten(0, 1))
        return {"codec": waves_MS.unflatten(0, latents_BNTC.shape[:2])}

    def _estimate(self, frames: SourceFrames) -> torch.Tensor:
        return self.linear(frames.g_BNTD) * frames.valid_BT[:, None, :, None]

    def _embed(self, frames: SourceFrames, target_BNTQ: torch.Tensor) -> torch.Tensor:
        vectors = [
            embedding_VC[target_BNTQ[..., q]] for q, embedding_VC in enumerate(self.embedding_QVC)
        ]
        return torch.stack(vectors).sum(0) * frames.valid_BT[:, None, :, None]
