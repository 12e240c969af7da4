"""The contract of a self-supervised objective.

Letters used in this folder: B batch, T frames, M masked frames, F feature bins, D width,
Q codebooks, V codebook size.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from aio_toolkit.loss import Loss


@dataclass
class MaskedBatch:
    """What an objective scores.

    Attributes:
        inputs_BTF: normalised features that the encoder hears, nothing masked.
        features_BTF: those of them that may be targets.
        codes_BTQ: the codec's codes of the input, -1 on padding and in rows that have none; None
            where the objective does not read them.
        valid_BT: which frames are real.
        masked_BT: which of them the encoder did not see.
        states: states (B, T, D) of every layer, from the input with those frames masked.
    """

    inputs_BTF: torch.Tensor
    features_BTF: torch.Tensor
    codes_BTQ: torch.Tensor | None
    valid_BT: torch.Tensor
    masked_BT: torch.Tensor
    states: list[torch.Tensor]

    @property
    def features_MF(self) -> torch.Tensor:
        """Target features of the masked frames, row after row."""
        return self.features_BTF[self.masked_BT]

    @property
    def codes_MQ(self) -> torch.Tensor:
        """Codes of the masked frames, in the same order."""
        if self.codes_BTQ is None:
            raise ValueError("the batch has no codes: its objective says that it reads none")
        return self.codes_BTQ[self.masked_BT]

    @property
    def state_MD(self) -> torch.Tensor:
        """The last layer's states of the masked frames, in the same order."""
        return self.states[-1][self.masked_BT]


@dataclass(frozen=True)
class TargetSizes:
    """Sizes of what an objective may predict.

    Attributes:
        num_features: target features F.
        num_codebooks: codebooks Q.
        codebook_size: codes V in each.
    """

    num_features: int
    num_codebooks: int
    codebook_size: int


class FeatureEncoder(nn.Module):
    """What an objective trains: normalised features in, the states of every layer out.

    It is called as `encoder(normalised_BTF, lengths_B)` and returns a list of states (B, T, D).
    `models.ssl.SslEncoder` is one.

    Attributes:
        width: channels D of the states.
    """

    def __init__(self, width: int):
        super().__init__()
        self.width = width


class Objective(nn.Module, ABC):
    """Scores how well the encoder's output explains the frames that were masked.

    An objective is made as `Objective(config, encoder, sizes)`: its options, the encoder that it
    trains, and the sizes of what it may predict.

    Attributes:
        reads_codes: whether it learns from the codec's codes of the input, which stage 2 writes
            only where it does.

    >>> class FirstFeature(Objective):
    ...     def __init__(
    ...         self, config: Objective.Config, encoder: FeatureEncoder, sizes: TargetSizes
    ...     ):
    ...         super().__init__(config, encoder, sizes)
    ...         self.predict = nn.Linear(encoder.width, 1)
    ...
    ...     def loss(self, batch: MaskedBatch) -> Loss:
    ...         error_M1 = self.predict(batch.state_MD) - batch.features_MF[:, :1]
    ...         return Loss(error_M1.square().mean())
    >>> objective = FirstFeature(Objective.Config(), FeatureEncoder(8), TargetSizes(6, 2, 16))
    >>> masked_BT = torch.tensor([[False, True, True]])
    >>> states, feats_BTF = [torch.randn(1, 3, 8)], torch.randn(1, 3, 6)
    >>> batch = MaskedBatch(feats_BTF, feats_BTF, None, torch.ones(1, 3) > 0, masked_BT, states)
    >>> objective.loss(batch).total.shape
    torch.Size([])
    """

    reads_codes: ClassVar[bool] = False

    @dataclass
    class Config:
        """Options of the objective: none."""

    @abstractmethod
    def __init__(self, config: Any, encoder: FeatureEncoder, sizes: TargetSizes):
        super().__init__()

    @abstractmethod
    def loss(self, batch: MaskedBatch) -> Loss:
        """Loss of the masked frames of a batch."""

    def after_step(self, encoder: FeatureEncoder) -> None:
        """Follow the encoder after an optimizer step; only those with a teacher do anything."""
