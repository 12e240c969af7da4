"""The self-supervised encoder: trained in stage 3, frozen ever after.

Letters: B batch, T frames, F feature bins of the front end, D width, Q codebooks.
"""

from dataclasses import dataclass, field

import torch
from torch import nn

from aio_toolkit import parts
from aio_toolkit.config import Choice, one_of
from aio_toolkit.encoders.base import Encoder
from aio_toolkit.layers import valid_frames
from aio_toolkit.loss import Loss
from aio_toolkit.models.masking import SpanMasking
from aio_toolkit.models.stem import Stem
from aio_toolkit.ssl._figures import spread
from aio_toolkit.ssl.base import CodeSizes, FeatureEncoder, MaskedBatch, Objective


class SslEncoder(FeatureEncoder):
    """Normalises features, brings them to the encoder's width, and encodes them.

    Attributes:
        config: what it was made from.
        mean_F: mean of each feature bin over the training data.
        std_F: its standard deviation.

    >>> encoder = SslEncoder(SslEncoder.Config(), num_features=6)
    >>> states = encoder(torch.randn(1, 5, 6), lengths_B=torch.tensor([5]))
    >>> len(states), states[-1].shape
    (3, torch.Size([1, 5, 192]))
    """

    mean_F: torch.Tensor
    std_F: torch.Tensor

    @dataclass
    class Config:
        """Stem and encoder.

        Attributes:
            encoder: kind of encoder and its options.
            stem_kernel: frames seen by the convolution between features and encoder, odd; 1 leaves
                a linear layer alone.
        """

        encoder: Choice = one_of("encoders", "transformer")
        stem_kernel: int = 1

    def __init__(self, config: Config, num_features: int):
        """Make stem and encoder; `mean_F` and `std_F` are to be filled in from training data.

        Raises:
            AioError: an unknown kind of encoder, or sizes that do not fit together.
        """
        width = parts.options_of(Encoder, config.encoder).width
        super().__init__(num_features, width)
        # A checkpoint of the encoder does without the rest of an `SslModel.Config`.
        self.config = SslEncoder.Config(config.encoder, config.stem_kernel)
        self.register_buffer("mean_F", torch.zeros(num_features))
        self.register_buffer("std_F", torch.ones(num_features))
        # The order of making is the order of random draws, on which seeds depend.
        self.stem = Stem(num_features, width, config.stem_kernel)
        self.encoder = parts.build(Encoder, config.encoder)

    def normalise(self, feats_BTF: torch.Tensor) -> torch.Tensor:
        """Zero mean and unit variance over the training data, bin by bin."""
        return (feats_BTF - self.mean_F) / self.std_F

    def forward(self, normalised_BTF: torch.Tensor, lengths_B: torch.Tensor) -> list[torch.Tensor]:
        """States (B, T, D) of every layer, from normalised features."""
        valid_BT = valid_frames(lengths_B, normalised_BTF.shape[1])
        x_BTD = self.stem(normalised_BTF, valid_BT)
        return self.encoder(x_BTD, valid_BT)


class SslModel(nn.Module):
    """Encoder and objective together: what stage 3 trains.

    >>> model = SslModel(SslModel.Config(), num_features=6, codes=CodeSizes(2, 16))
    >>> feats_BTF, codes_BTQ = torch.randn(1, 9, 6), torch.randint(16, (1, 9, 2))
    >>> model(feats_BTF, torch.tensor([9]), codes_BTQ).total.shape
    torch.Size([])
    """

    @dataclass
    class Config(SslEncoder.Config):
        """Encoder, objective and masking of stage 3.

        Attributes:
            objective: what the encoder learns from, and its options.
            masking: what is masked meanwhile.
        """

        objective: Choice = one_of("ssl", "masked_codes")
        masking: SpanMasking.Config = field(default_factory=SpanMasking.Config)

    def __init__(self, config: Config, num_features: int, codes: CodeSizes):
        """Make the encoder and what trains it.

        Args:
            config: encoder, objective and masking.
            num_features: feature bins F of the front end.
            codes: sizes of the codes that `forward` is given.

        Raises:
            AioError: an unknown kind, or sizes that do not fit together.
        """
        super().__init__()
        self.ssl_encoder = SslEncoder(config, num_features)
        self.masking = SpanMasking(config.masking, self.ssl_encoder.width)
        # Last, as an objective may start from a copy of the encoder.
        self.objective = parts.build(Objective, config.objective, self.ssl_encoder, codes)

    def forward(
        self, feats_BTF: torch.Tensor, lengths_B: torch.Tensor, codes_BTQ: torch.Tensor
    ) -> Loss:
        """Loss of a batch; which frames are masked is drawn anew at each call.

        1. Normalise the features and bring them to the encoder's width.
        2. Mask spans of what comes out.
        3. Let the stem's convolution, where there is one, and the encoder see the rest.
        4. Score the states of the masked frames.

        The figure `embedding_std` is near one where frames differ and near zero where the encoder
        has collapsed.
        """
        valid_BT = valid_frames(lengths_B, feats_BTF.shape[1])
        features_BTF = self.ssl_encoder.normalise(feats_BTF)
        stem = self.ssl_encoder.stem
        x_BTD = stem.linear(features_BTF)

        # Before the convolution, which would carry masked frames into their neighbours.
        seen_BTD, masked_BT = self.masking(x_BTD, valid_BT)
        seen_BTD = stem.convolve(seen_BTD, valid_BT)
        states = self.ssl_encoder.encoder(seen_BTD, valid_BT)

        batch = MaskedBatch(
            features_BTF=features_BTF,
            codes_BTQ=codes_BTQ,
            valid_BT=valid_BT,
            masked_BT=masked_BT,
            states=states,
        )
        loss = self.objective.loss(batch)
        last_BTD = states[-1].detach()
        loss.figures["embedding_std"] = spread(last_BTD[valid_BT])
        return loss
