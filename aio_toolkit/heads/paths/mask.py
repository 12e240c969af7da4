"""Masks on the mixture's STFT: estimates with the mixture's phase, which are coded afterwards.

Letters: see `heads.paths.base`; F frequencies, K sub-frames of the STFT.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import override

import torch
from torch import nn

from aio_toolkit.answers.audio import CodecUnits
from aio_toolkit.codec.base import Codec
from aio_toolkit.heads.paths.base import CodePath, References, SourceFrames
from aio_toolkit.levels import at_unit_level, rms_levels
from aio_toolkit.loss import Loss
from aio_toolkit.ranges import bounded
from aio_toolkit.stft import SubframeStft

# A reference with less than this share of the mixture's energy is silent.
SILENT = 1e-6


class MaskKind(StrEnum):
    """What a mask does to a bin: it scales the magnitude, or turns the phase too."""

    magnitude = "magnitude"
    complex = "complex"


class MaskPath(CodePath):
    """Each frame emits the masks of its sub-frames for every source; they add up to one.

    It learns from waves, so it needs no codec in training. The loss is the thresholded SNR of the
    estimates (Wisdom et al. 2021, FUSS), that of silent references against the mixture's power.

    >>> from aio_toolkit.codec.base import CodecFingerprint
    >>> codec = CodecFingerprint("tiny", "0", 16000, 320, 2, 16, 4)
    >>> units = CodecUnits(codec, torch.randn(2, 16, 4), torch.zeros(2, dtype=torch.long))
    >>> path = MaskPath(MaskPath.Config(), 8, units)
    >>> wave_BS = torch.randn(1, 1500)
    >>> sources = SourceFrames(
    ...     torch.randn(1, 2, 5, 8), torch.tensor([5]), wave_BS, torch.tensor([1500])
    ... )
    >>> estimate_BNS = path.outputs(sources, codec=None, mode="mask")["masked"]
    >>> torch.allclose(estimate_BNS[:, 0], wave_BS / 2, atol=1e-5)  # it starts from even shares
    True
    """

    modes = ("mask",)

    @dataclass
    class Config(CodePath.Config):
        """Options of the mask path.

        Attributes:
            weight: weight of its loss; 0 leaves the path out.
            kind: magnitude: a softmax over sources; complex: real and imaginary parts.
            subframes: sub-frames in a frame; must divide its samples.
            window: window of the STFT in sub-frames: 3.2 of 160 samples are 512.
            threshold_db: SNR beyond which an estimate gains no more.
            silent_weight: weight of a source that the mixture does not have, beside 1 for those
                that it has.
        """

        weight: float = bounded(1.0, least=0)
        kind: MaskKind = MaskKind.magnitude
        subframes: int = bounded(2, least=1)
        window: float = bounded(3.2, least=1)
        threshold_db: float = bounded(30.0, above=0)
        silent_weight: float = bounded(0.2, least=0)

    def __init__(self, config: Config, width: int, units: CodecUnits):
        """Make the layer of the masks; AioError where windows do not fit the frame."""
        super().__init__(config, width, units)
        self.config = config
        self.stft = SubframeStft(units.fingerprint.hop, config.subframes, config.window)
        self.norm = nn.LayerNorm(width)
        num_values = 2 if config.kind == MaskKind.complex else 1
        num_outputs = config.subframes * self.stft.num_frequencies * num_values
        self.linear = nn.Linear(width, num_outputs)
        # The mixture, evenly shared, is where the estimates start.
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    @override
    def costs(self, sources: SourceFrames, references: References) -> torch.Tensor:
        """The loss of every pair."""
        estimate_BNS = self._estimates(sources).detach()
        true_BMS = _at_unit_level_of(sources, references)
        costs = []
        # One reference at a time: products of waves would lose the digits of small differences.
        for true_BS in true_BMS.unbind(1):
            loss_BN, _ = self._losses(estimate_BNS, true_BS[:, None], sources.samples_B)
            costs.append(loss_BN)
        return torch.stack(costs, -1)

    @override
    def loss(self, sources: SourceFrames, references: References) -> Loss:
        """Mean over sources and rows of the negative SNR in nepers; its figure in dB."""
        true_BNS = _at_unit_level_of(sources, references)
        loss_BN, heard_BN = self._losses(self._estimates(sources), true_BNS, sources.samples_B)
        weight_BN = torch.where(heard_BN, 1.0, self.config.silent_weight)
        rows_B = (weight_BN * loss_BN).sum(1) / weight_BN.sum(1)

        heard = -loss_BN.detach() * heard_BN
        snr = heard.sum() / heard_BN.sum().clamp_min(1)
        snr_db = 10 / math.log(10) * snr
        return Loss(rows_B.mean(), {"snr": snr_db}, rows_B.detach())

    @override
    def outputs(
        self, sources: SourceFrames, codec: Codec | None, mode: str
    ) -> dict[str, torch.Tensor]:
        """`masked`, and its codes decoded where there is a codec."""
        level_B = rms_levels(sources.wave_BS, sources.samples_B)
        masked_BNS = self._estimates(sources) * level_B[:, None, None]
        outputs = {"masked": masked_BNS}
        if codec is not None:
            S = masked_BNS.shape[-1]
            codes_MTQ = codec.encode(masked_BNS.flatten(0, 1)).codes_BTQ
            # The codec completes the last frame.
            wave_MS = codec.decode(codes_MTQ)[:, :S]
            outputs["codec"] = wave_MS.unflatten(0, masked_BNS.shape[:2])
        return outputs

    def masks(self, sources: SourceFrames) -> torch.Tensor:
        """Masks (B, N, K, F), float or complex, that add up to one over N."""
        normed_BNTD = self.norm(sources.g_BNTD)
        # In float32: what a softmax of bfloat16 shares out does not add up to one.
        value_BNTX = self.linear(normed_BNTD).float()
        F = self.stft.num_frequencies
        if self.config.kind == MaskKind.magnitude:
            # Values of a frame are those of its sub-frames in turn.
            value_BNTJF = value_BNTX.unflatten(-1, (-1, F))
            value_BNKF = value_BNTJF.flatten(2, 3)
            return value_BNKF.softmax(1)
        value_BNTJFP = value_BNTX.unflatten(-1, (-1, F, 2))
        value_BNKF = torch.view_as_complex(value_BNTJFP.flatten(2, 3).contiguous())
        # What is missing to one is shared out evenly, and so is the one.
        missing_BKF = 1 - value_BNKF.sum(1)
        return value_BNKF + missing_BKF[:, None] / sources.num_sources

    def _estimates(self, sources: SourceFrames) -> torch.Tensor:
        """Waves (B, N, S) of the mixture at unit level under its masks."""
        if self not in sources.made:
            sources.made[self] = self._masked(sources)
        return sources.made[self]

    def _masked(self, sources: SourceFrames) -> torch.Tensor:
        mask_BNKF = self.masks(sources)
        with torch.autocast(mask_BNKF.device.type, enabled=False):
            mixture_BS = at_unit_level(sources.wave_BS, sources.samples_B)
            spectrum_BKF = self.stft(mixture_BS)
            masked_BNKF = mask_BNKF * spectrum_BKF[:, None]
            columns_B1 = self.stft.columns(sources.lengths_B)[:, None]
            wave_BNS = self.stft.inverse(masked_BNKF, columns_B1, mixture_BS.shape[1])
            # Beyond the end of a row, its last frame is completed with what masks made of silence.
            place_S = torch.arange(wave_BNS.shape[-1], device=wave_BNS.device)
            real_B1S = place_S < sources.samples_B[:, None, None]
            return wave_BNS * real_B1S

    def _losses(
        self, estimate_BNS: torch.Tensor, true_BNS: torch.Tensor, samples_B: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss (B, N) of every estimate for its reference, or for the only one; which are heard.

        With e the error and tau the share that `threshold_db` stands for, it is the negative
        thresholded SNR in nepers, log((|e|^2 + tau |s|^2) / |s|^2); of a silent reference
        log((|e|^2 + tau |x|^2) / |x|^2), x being the mixture.
        """
        with torch.autocast(estimate_BNS.device.type, enabled=False):
            energy_BN = true_BNS.square().sum(-1)
            # At unit level a mixture has the energy of its samples.
            mixture_B1 = samples_B[:, None].float()
            # A source may be there and pause for the length of a crop.
            heard_BN = energy_BN > SILENT * mixture_B1
            against_BN = torch.where(heard_BN, energy_BN, mixture_B1)

            tau = 10 ** (-self.config.threshold_db / 10)
            error_BN = (estimate_BNS - true_BNS).square().sum(-1)
            loss_BN = ((error_BN + tau * against_BN) / against_BN).log()
            return loss_BN, heard_BN


def _at_unit_level_of(sources: SourceFrames, references: References) -> torch.Tensor:
    """The references (B, N, S) of mixtures that are brought to unit level."""
    with torch.autocast(references.wave_BNS.device.type, enabled=False):
        level_B = rms_levels(sources.wave_BS, sources.samples_B)
        return references.wave_BNS.float() / level_B[:, None, None]
