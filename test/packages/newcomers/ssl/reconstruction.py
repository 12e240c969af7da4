"""Features of masked frames, guessed from the others."""

from dataclasses import dataclass
from typing import override

from torch import nn

from aio_toolkit.loss import Loss
from aio_toolkit.ssl.base import FeatureEncoder, MaskedBatch, Objective, TargetSizes


class Reconstruction(Objective):
    """The mean of a power of the absolute error."""

    @dataclass
    class Config:
        """Options.

        Attributes:
            power: 1 for the absolute error, 2 for the squared one.
        """

        power: float = 1.0

    def __init__(self, config: Config, encoder: FeatureEncoder, sizes: TargetSizes):
        super().__init__(config, encoder, sizes)
        self.power = config.power
        self.linear = nn.Linear(encoder.width, sizes.num_features)

    @override
    def loss(self, batch: MaskedBatch) -> Loss:
        error_MF = self.linear(batch.state_MD) - batch.features_MF
        total = error_MF.abs().pow(self.power).mean()
        return Loss(total, {"error": error_MF.detach().abs().mean()})
