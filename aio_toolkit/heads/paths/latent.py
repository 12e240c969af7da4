"""The codec's latent of every source, which its quantizer turns into codes."""

from dataclasses import dataclass
from typing import override

import torch
import torch.nn.functional as F
from torch import nn

from aio_toolkit.answers.audio import CodecUnits
from aio_toolkit.codec.base import Codec
from aio_toolkit.heads.paths.base import CodePath, SourceFrames
from aio_toolkit.loss import Loss

# Energy, as a share of the mixture's, below which a target is as good as silent.
FLOOR = 1e-2


class LatentPath(CodePath):
    """A mask on the mixture's latent plus a remainder.

    It knows how near two codes are, which classes do not, and what it leaves alone of the mixture
    keeps its phase.
    """

    modes = ("latent",)

    @dataclass
    class Config(CodePath.Config):
        """Options of the latent path.

        Attributes:
            weight: weight of the latents' log error; 0 leaves the path out.
        """

    def __init__(self, config: Config, width: int, units: CodecUnits):
        super().__init__(config, width, units)
        channels = units.embedding_QVC.shape[-1]
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, 2 * channels)
        # The mixture, evenly shared, is where the estimates start.
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        # A checkpoint has them among the units.
        self.register_buffer("embedding_QVC", units.embedding_QVC.clone(), persistent=False)

    @override
    def costs(self, frames: SourceFrames, target_BNTQ: torch.Tensor) -> torch.Tensor:
        """Squared error of the latents."""
        with torch.no_grad():
            return latent_errors(*self._pair(frames, target_BNTQ))

    @override
    def loss(self, frames: SourceFrames, target_BNTQ: torch.Tensor) -> Loss:
        """Mean log of error over energy: the negative SNR of the latents, which follows that of the
        waves."""
        estimate_BNTC, true_BNTC = self._pair(frames, target_BNTQ)
        floor_B1 = FLOOR * frames.mixture_BTC.square().sum((1, 2))[:, None] + 1e-6
        error_BN = (estimate_BNTC - true_BNTC).square().sum((2, 3)) + floor_B1
        energy_BN = true_BNTC.square().sum((2, 3)) + floor_B1
        log_ratio = (error_BN / energy_BN).log().mean()
        snr_db = -10 * log_ratio.detach() / torch.tensor(10.0).log().item()
        return Loss(log_ratio, {"latent_snr": snr_db})

    @override
    def waves(self, frames: SourceFrames, codec: Codec, mode: str) -> torch.Tensor:
        latents_BNTC = self.latents(frames)
        codes_MTQ = codec.quantize(latents_BNTC.flatten(0, 1))
        return codec.decode(codes_MTQ).unflatten(0, latents_BNTC.shape[:2])

    def latents(self, frames: SourceFrames) -> torch.Tensor:
        """Estimated latents (B, N, T, C) of each source."""
        mask_BNTC, rest_BNTC = self.linear(self.norm(frames.g_BNTD)).float().chunk(2, dim=-1)
        share = 1 / frames.g_BNTD.shape[1]
        return (mask_BNTC + share) * frames.mixture_BTC[:, None] + rest_BNTC

    def embed(self, code_BNTQ: torch.Tensor) -> torch.Tensor:
        """The codec's latents (B, N, T, C) of codes."""
        codebooks = range(code_BNTQ.shape[-1])
        return sum(F.embedding(code_BNTQ[..., q], self.embedding_QVC[q]) for q in codebooks)

    def _pair(
        self, frames: SourceFrames, target_BNTQ: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Estimated and true latents (B, N, T, C), zero on padding."""
        valid_B1T1 = frames.valid_BT[:, None, :, None]
        return self.latents(frames) * valid_B1T1, self.embed(target_BNTQ) * valid_B1T1


def latent_errors(estimate_BNTC: torch.Tensor, true_BMTC: torch.Tensor) -> torch.Tensor:
    """Squared error (B, N, M) of every estimate against every target, summed over frames and
    channels."""
    return torch.cdist(estimate_BNTC.flatten(2), true_BMTC.flatten(2)).square()
