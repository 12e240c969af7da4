"""The codec's latent of every source, which its quantizer turns into codes.

Letters: see `heads.paths.base`.
"""

import math
from dataclasses import dataclass
from typing import override

import torch
import torch.nn.functional as F
from torch import nn

from aio_toolkit.answers.audio import CodecUnits
from aio_toolkit.codec.base import Codec
from aio_toolkit.heads.paths.base import CodePath, References, SourceFrames
from aio_toolkit.loss import Loss

# Energy, as a share of the mixture's, below which a target is as good as silent.
FLOOR = 1e-2


class LatentPath(CodePath):
    """A mask on the mixture's latent plus a remainder.

    The front end `codec_latents` tells it the mixture's latent. It knows how near two codes are,
    which classes do not, and what it leaves alone of the mixture keeps its phase.

    >>> from aio_toolkit.codec.base import CodecFingerprint
    >>> codec = CodecFingerprint("tiny", "0", 16000, 320, 2, 16, 4)
    >>> units = CodecUnits(codec, torch.randn(2, 16, 4), torch.zeros(2, dtype=torch.long))
    >>> path = LatentPath(LatentPath.Config(), 8, units)
    >>> wave_BS, features = torch.zeros(1, 1600), {"codec_latents": torch.ones(1, 5, 4)}
    >>> sources = SourceFrames(
    ...     torch.randn(1, 2, 5, 8), torch.tensor([5]), wave_BS, torch.tensor([1600]), features
    ... )
    >>> path.latents(sources)[0, 0, 0]  # it starts from even shares of the mixture
    tensor([0.5000, 0.5000, 0.5000, 0.5000], grad_fn=<SelectBackward0>)
    """

    modes = ("latent",)
    learns_from_codes = True
    reads = ("codec_latents",)
    embedding_QVC: torch.Tensor

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
        embedding_QVC = units.embedding_QVC.clone()
        # A checkpoint has them among the units.
        self.register_buffer("embedding_QVC", embedding_QVC, persistent=False)

    @override
    @torch.no_grad()
    def costs(self, sources: SourceFrames, references: References) -> torch.Tensor:
        """Squared error of the latents."""
        estimate_BNTC, true_BNTC = self._pair(sources, references)
        return latent_errors(estimate_BNTC, true_BNTC)

    @override
    def loss(self, sources: SourceFrames, references: References) -> Loss:
        """Mean log of error over energy: the negative SNR of the latents, which follows that of the
        waves."""
        estimate_BNTC, true_BNTC = self._pair(sources, references)
        # Without a floor the log of a silent target's error would rule the batch.
        mixture_BTC = sources.of_front_end("codec_latents")
        mixture_B = _energy(mixture_BTC)
        floor_B1 = FLOOR * mixture_B[:, None] + 1e-6
        error_BN = _energy(estimate_BNTC - true_BNTC) + floor_B1
        energy_BN = _energy(true_BNTC) + floor_B1

        ratio_BN = error_BN / energy_BN
        loss_BN = ratio_BN.log()
        total = loss_BN.mean()
        nepers = -total.detach()
        snr_db = 10 * nepers / math.log(10.0)
        rows_B = loss_BN.detach().mean(1)
        return Loss(total, {"latent_snr": snr_db}, rows_B)

    @override
    def outputs(
        self, sources: SourceFrames, codec: Codec | None, mode: str
    ) -> dict[str, torch.Tensor]:
        """Waves of the codes that the codec's quantizer makes of the estimated latents."""
        if codec is None:
            return {}
        latents_BNTC = self.latents(sources)
        latents_MTC = latents_BNTC.flatten(0, 1)
        # All codebooks, also those that no class path predicts.
        codes_MTQ = codec.quantize(latents_MTC)
        waves_MS = codec.decode(codes_MTQ)
        return {"codec": waves_MS.unflatten(0, latents_BNTC.shape[:2])}

    def latents(self, sources: SourceFrames) -> torch.Tensor:
        """Estimated latents (B, N, T, C) of each source."""
        normed_BNTD = self.norm(sources.g_BNTD)
        # In float32, as targets are: the loss is of the difference of the two.
        both_BNTX = self.linear(normed_BNTD).float()
        mask_BNTC, rest_BNTC = both_BNTX.chunk(2, dim=-1)
        even_share = 1 / sources.num_sources
        share_BNTC = mask_BNTC + even_share
        mixture_BTC = sources.of_front_end("codec_latents")
        mixture_B1TC = mixture_BTC[:, None]
        return share_BNTC * mixture_B1TC + rest_BNTC

    def embed(self, code_BNTQ: torch.Tensor) -> torch.Tensor:
        """The codec's latents (B, N, T, C) of codes: sums over codebooks."""
        vectors = []
        for q in range(code_BNTQ.shape[-1]):
            code_BNT = code_BNTQ[..., q]
            vectors.append(F.embedding(code_BNT, self.embedding_QVC[q]))
        return sum(vectors)  # type: ignore[return-value]

    def _pair(
        self, sources: SourceFrames, references: References
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Estimated and true latents (B, N, T, C), zero on padding."""
        valid_B1T1 = sources.valid_BT[:, None, :, None]
        estimate_BNTC = self.latents(sources) * valid_B1T1
        true_BNTC = self.embed(references.codes()) * valid_B1T1
        return estimate_BNTC, true_BNTC


def latent_errors(estimate_BNTC: torch.Tensor, true_BMTC: torch.Tensor) -> torch.Tensor:
    """Squared error (B, N, M) of every estimate against every target, summed over frames and
    channels.

    >>> ones_TC = torch.ones(3, 2)
    >>> latent_errors(ones_TC[None, None], torch.stack([ones_TC, 3 * ones_TC])[None]).round()
    tensor([[[ 0., 24.]]])
    """
    estimate_BNX = estimate_BNTC.flatten(2)
    true_BMX = true_BMTC.flatten(2)
    distance_BNM = torch.cdist(estimate_BNX, true_BMX)
    return distance_BNM.square()


def _energy(x_XTC: torch.Tensor) -> torch.Tensor:
    """Sum of squares over frames and channels."""
    return x_XTC.square().sum((-2, -1))
