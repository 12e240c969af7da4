"""Adversarial losses of codec training, with the `dac` package's discriminators. Letters: B batch, S samples."""

from dataclasses import dataclass, field

import torch
from torch import nn


@dataclass
class AdversaryConfig:
    """Discriminators that judge whether a wave is real; worth their price on a GPU.

    Attributes:
        weight: weight of fooling them; 0 trains without.
        feature_weight: weight of the distance between their features of estimate and reference.
        periods: periods in samples of the multi-period discriminators.
        fft_sizes: windows in samples of the multi-band spectrogram discriminators.
    """

    weight: float = 0.0
    feature_weight: float = 2.0
    periods: list[int] = field(default_factory=lambda: [2, 3, 5, 7, 11])
    fft_sizes: list[int] = field(default_factory=lambda: [2048, 1024, 512])


@dataclass
class AdversaryLoss:
    """Least-squares losses (Mao et al. 2017; Kumar et al. 2023, section 3.3), sums over discriminators.

    Attributes:
        discriminator: of telling references from estimates; moves the discriminators only.
        generator: of being told from references; moves the estimates only, as does the next.
        features: L1 distance of the discriminators' features.
    """

    discriminator: torch.Tensor
    generator: torch.Tensor
    features: torch.Tensor


class Adversary(nn.Module):
    """The package's discriminators and their losses."""

    def __init__(self, config: AdversaryConfig, sample_rate: int):
        super().__init__()
        from dac.model.discriminator import Discriminator

        self.judge = Discriminator(
            rates=[], periods=config.periods, fft_sizes=config.fft_sizes, sample_rate=sample_rate
        )

    def forward(self, estimate_BS: torch.Tensor, reference_BS: torch.Tensor) -> AdversaryLoss:
        """All losses at once, so that one backward pass and one optimiser serve both sides."""
        estimate_B1S, reference_B1S = estimate_BS[:, None], reference_BS[:, None]
        of_reference, of_estimate = self.judge(reference_B1S), self.judge(estimate_B1S.detach())
        discriminator = sum(
            fake[-1].square().mean() + (1 - real[-1]).square().mean()
            for fake, real in zip(of_estimate, of_reference, strict=True)
        )
        # The same weights as constants: the generator's losses must not teach the discriminators.
        constants = {name: value.detach() for name, value in self.judge.named_parameters()}
        judged = torch.func.functional_call(self.judge, constants, (estimate_B1S,))
        generator = sum((1 - fake[-1]).square().mean() for fake in judged)
        features = sum(
            (fake - real.detach()).abs().mean()
            for fakes, reals in zip(judged, of_reference, strict=True)
            for fake, real in zip(fakes[:-1], reals[:-1], strict=True)
        )
        return AdversaryLoss(discriminator, generator, features)
