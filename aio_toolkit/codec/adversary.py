"""Adversarial losses of codec training, with the `dac` package's discriminators.

Letters: B batch, S samples.
"""

import functools
from dataclasses import dataclass
from typing import override

import torch
from torch import nn

from aio_toolkit.ranges import bounded

# What each discriminator makes of a wave: the outputs of its layers, the verdict last.
Judged = list[list[torch.Tensor]]


@dataclass
class AdversaryLoss:
    """Least-squares losses, sums over discriminators.

    Mao et al. 2017; Kumar et al. 2023, section 3.3.

    Attributes:
        discriminator: of telling references from estimates; moves the discriminators only.
        generator: of being told from references; moves the estimates only, as does the next.
        features: L1 distance of the discriminators' features.
    """

    discriminator: torch.Tensor
    generator: torch.Tensor
    features: torch.Tensor


class Adversary(nn.Module):
    """Discriminators that judge whether a wave is real; worth their price on a GPU.

    >>> adversary = Adversary(Adversary.Config(periods=[2], fft_sizes=[256]), sample_rate=16000)
    >>> wave_BS = torch.zeros(1, 512)
    >>> adversary(wave_BS, wave_BS).features.item()
    0.0
    """

    @dataclass
    class Config:
        """Which discriminators there are, and how much they weigh.

        Attributes:
            weight: weight of fooling them; 0 trains without.
            feature_weight: weight of the distance between their features of estimate and reference.
            periods: periods in samples of the multi-period discriminators.
            fft_sizes: windows in samples of the multi-band spectrogram discriminators.
        """

        weight: float = bounded(0.0, least=0)
        feature_weight: float = bounded(2.0, least=0)
        periods: list[int] = bounded([2, 3, 5, 7, 11], least=1)
        fft_sizes: list[int] = bounded([2048, 1024, 512], least=2)

    def __init__(self, config: Config, sample_rate: int) -> None:
        """Make the discriminators for waves of `sample_rate` Hz."""
        super().__init__()
        from dac.model.discriminator import Discriminator

        self.judge = Discriminator(
            rates=[],
            periods=config.periods,
            fft_sizes=config.fft_sizes,
            sample_rate=sample_rate,
        )

    @override
    def forward(self, estimate_BS: torch.Tensor, reference_BS: torch.Tensor) -> AdversaryLoss:
        """All losses at once, so that one backward pass and one optimizer serve both sides."""
        estimate_B1S = estimate_BS[:, None]
        reference_B1S = reference_BS[:, None]

        of_reference = self.judge(reference_B1S)
        of_estimate = self.judge(estimate_B1S.detach())
        discriminator = _discriminator_loss(of_estimate, of_reference)

        # The same weights as constants: the generator's losses must not teach the discriminators.
        constants = {name: value.detach() for name, value in self.judge.named_parameters()}
        judged = torch.func.functional_call(self.judge, constants, (estimate_B1S,))
        generator = _generator_loss(judged)
        features = _feature_distance(judged, of_reference)
        return AdversaryLoss(discriminator, generator, features)


def _discriminator_loss(of_estimate: Judged, of_reference: Judged) -> torch.Tensor:
    """References should be judged one, estimates zero."""
    losses = []
    for fake, real in zip(of_estimate, of_reference, strict=True):
        of_fake = fake[-1].square().mean()
        of_real = (1 - real[-1]).square().mean()
        losses.append(of_fake + of_real)
    return _total(losses)


def _generator_loss(of_estimate: Judged) -> torch.Tensor:
    """Estimates should be judged one."""
    losses = []
    for fake in of_estimate:
        verdict = fake[-1]
        losses.append((1 - verdict).square().mean())
    return _total(losses)


def _feature_distance(of_estimate: Judged, of_reference: Judged) -> torch.Tensor:
    """Distance of what all layers make of estimate and reference, the verdicts left out."""
    distances = []
    for fakes, reals in zip(of_estimate, of_reference, strict=True):
        pairs = zip(fakes[:-1], reals[:-1], strict=True)
        for fake, real in pairs:
            difference = fake - real.detach()
            distances.append(difference.abs().mean())
    return _total(distances)


def _total(losses: list[torch.Tensor]) -> torch.Tensor:
    return functools.reduce(torch.add, losses)
