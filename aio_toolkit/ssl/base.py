"""The contract of a self-supervised objective.

Letters used in this folder: B batch, T frames, M masked frames, F feature bins, D width,
Q codebooks, V codebook size.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from aio_toolkit.loss import Loss


@dataclass
class MaskedBatch:
    """What an objective scores.

    Attributes:
        features_BTF: normalised features of the input, nothing masked.
        codes_BTQ: the codec's codes of the input, -1 on padding.
        valid_BT: which frames are real.
        masked_BT: which of them the encoder did not see.
        states: states (B, T, D) of every layer, from the input with those frames masked.
    """

    features_BTF: torch.Tensor
    codes_BTQ: torch.Tensor
    valid_BT: torch.Tensor
    masked_BT: torch.Tensor
    states: list[torch.Tensor]

    @property
    def features_MF(self) -> torch.Tensor:
        """Features of the masked frames, row after row."""
        return self.features_BTF[self.masked_BT]

    @property
    def codes_MQ(self) -> torch.Tensor:
        """Codes of the masked frames, in the same order."""
        return self.codes_BTQ[self.masked_BT]

    @property
    def state_MD(self) -> torch.Tensor:
        """The last layer's states of the masked frames, in the same order."""
        return self.states[-1][self.masked_BT]


@dataclass(frozen=True)
class CodeSizes:
    """Sizes of the codes of the input.

    Attributes:
        num_codebooks: codebooks Q.
        codebook_size: codes V in each.
    """

    num_codebooks: int
    codebook_size: int


class FeatureEncoder(nn.Module):
    """What an objective trains: normalised features in, the states of every layer out.

    It is called as `encoder(normalised_BTF, lengths_B)` and returns a list of states (B, T, D).
    `models.ssl.SslEncoder` is one.

    Attributes:
        num_features: feature bins F.
        width: channels D of the states.
    """

    def __init__(self, num_features: int, width: int):
        super().__init__()
        self.num_features = num_features
        self.width = width


class Objective(nn.Module, ABC):
    """Scores how well the encoder's output explains the frames that were masked.

    An objective is made as `Objective(config, encoder, codes)`: its options, the encoder that it
    trains, and the sizes of the input's codes.

    >>> class FirstFeature(Objective):
    ...     def __init__(self, config: Objective.Config, encoder: FeatureEncoder, codes: CodeSizes):
    ...         super().__init__(config, encoder, codes)
    ...         self.predict = nn.Linear(encoder.width, 1)
    ...
    ...     def loss(self, batch: MaskedBatch) -> Loss:
    ...         error_M1 = self.predict(batch.state_MD) - batch.features_MF[:, :1]
    ...         return Loss(error_M1.square().mean())
    >>> objective = FirstFeature(Objective.Config(), FeatureEncoder(6, 8), CodeSizes(2, 16))
    >>> masked_BT = torch.tensor([[False, True, True]])
    >>> states = [torch.randn(1, 3, 8)]
    >>> features_BTF, codes_BTQ = torch.randn(1, 3, 6), torch.zeros(1, 3, 2, dtype=torch.long)
    >>> batch = MaskedBatch(features_BTF, codes_BTQ, torch.ones(1, 3) > 0, masked_BT, states)
    >>> objective.loss(batch).total.shape
    torch.Size([])
    """

    @dataclass
    class Config:
        """Options of the objective: none."""

    @abstractmethod
    def __init__(self, config: Any, encoder: FeatureEncoder, codes: CodeSizes):
        super().__init__()

    @abstractmethod
    def loss(self, batch: MaskedBatch) -> Loss:
        """Loss of the masked frames of a batch."""

    def after_step(self, encoder: FeatureEncoder) -> None:
        """Follow the encoder after an optimizer step; only those with a teacher do anything."""
