"""The self-supervised encoder: trained in stage 3, frozen ever after.

Letters: B batch, S samples, T frames, F feature bins of the front end, D width, Q codebooks.
"""

from dataclasses import dataclass, field

import torch
from torch import nn

from aio_toolkit import parts
from aio_toolkit.codec.base import CodecFingerprint
from aio_toolkit.config import Choice, one_of
from aio_toolkit.encoders.base import Encoder
from aio_toolkit.errors import AioError
from aio_toolkit.frames import FrameGrid
from aio_toolkit.frontend.stack import FrontEndStack
from aio_toolkit.layers import valid_frames
from aio_toolkit.loss import Loss
from aio_toolkit.models.masking import SpanMasking
from aio_toolkit.models.stem import Stem
from aio_toolkit.ranges import bounded
from aio_toolkit.ssl._figures import spread
from aio_toolkit.ssl.base import FeatureEncoder, MaskedBatch, Objective, TargetSizes


class SslEncoder(FeatureEncoder):
    """Hears waves through its front end, brings the features to the encoder's width, encodes them.

    Attributes:
        config: what it was made from.
        grid: the frames of its front end.
        front_end: what it hears.

    >>> encoder = SslEncoder(SslEncoder.Config(), FrameGrid(16000, 320))
    >>> features = encoder.front_end.extract(torch.randn(1, 900), torch.tensor([900]))
    >>> states = encoder(encoder.front_end(features), lengths_B=torch.tensor([3]))
    >>> len(states), states[-1].shape
    (3, torch.Size([1, 3, 192]))
    """

    @dataclass
    class Config:
        """Front end, stem and encoder.

        Attributes:
            encoder: kind of encoder and its options.
            stem_kernel: frames seen by the convolution between features and encoder, odd; 1 leaves
                a linear layer alone.
            front_end: what the encoder hears.
        """

        encoder: Choice = one_of("encoders", "transformer")
        stem_kernel: int = bounded(1, least=1, odd=True)
        front_end: FrontEndStack.Config = field(
            default_factory=lambda: FrontEndStack.Config(["log_mel"])
        )

    def __init__(self, config: Config, grid: FrameGrid):
        """Make front end, stem and encoder; the front end is to be fitted to training data.

        Raises:
            AioError: no front end or an unknown one, an unknown kind of encoder, or sizes that do
                not fit together.
        """
        width = parts.options_of(Encoder, config.encoder).width
        super().__init__(width)
        if not config.front_end.parts:
            known = ", ".join(parts.kinds("frontend"))
            raise AioError(f"front_end.parts is empty: the encoder hears nothing. Parts: {known}.")
        # A checkpoint of the encoder does without the rest of an `SslModel.Config`.
        self.config = SslEncoder.Config(config.encoder, config.stem_kernel, config.front_end)
        self.grid = grid
        self.front_end = FrontEndStack(config.front_end, grid)
        # The order of making is the order of random draws, on which seeds depend.
        self.stem = Stem(self.front_end.num_features, width, config.stem_kernel)
        self.encoder = parts.build(Encoder, config.encoder)

    def forward(self, normalised_BTF: torch.Tensor, lengths_B: torch.Tensor) -> list[torch.Tensor]:
        """States (B, T, D) of every layer, from normalised features."""
        valid_BT = valid_frames(lengths_B, normalised_BTF.shape[1])
        x_BTD = self.stem(normalised_BTF, valid_BT)
        return self.encoder(x_BTD, valid_BT)


class SslModel(nn.Module):
    """Encoder and objective together: what stage 3 trains.

    >>> codec = CodecFingerprint("tiny", "0", 16000, 320, 2, 16, 8)
    >>> model = SslModel(SslModel.Config(), codec)
    >>> codes_BTQ = torch.randint(16, (1, 3, 2))
    >>> model(torch.randn(1, 900), torch.tensor([900]), codes_BTQ).total.shape
    torch.Size([])
    """

    @dataclass
    class Config(SslEncoder.Config):
        """Encoder, objective and masking of stage 3.

        Attributes:
            targets: the front ends among `front_end.parts` whose features objectives may predict.
                Features with a phase are many, and nobody can foresee them: they would drown the
                others.
            objective: what the encoder learns from, and its options.
            masking: what is masked meanwhile.
        """

        targets: list[str] = field(default_factory=lambda: ["log_mel"])
        objective: Choice = one_of("ssl", "masked_codes")
        masking: SpanMasking.Config = field(default_factory=SpanMasking.Config)

    def __init__(self, config: Config, codec: CodecFingerprint):
        """Make the encoder and what trains it.

        Args:
            config: encoder, objective and masking.
            codec: the codec on whose frames it works, and whose codes it may learn from.

        Raises:
            AioError: an unknown kind, sizes that do not fit together, or targets that the encoder
                does not hear.
        """
        super().__init__()
        self.ssl_encoder = SslEncoder(config, codec.grid)
        self.masking = SpanMasking(config.masking, self.ssl_encoder.width)
        try:
            self.target_bins = self.ssl_encoder.front_end.bins(config.targets)
        except AioError as error:
            raise AioError(f"key 'model.targets': {error}") from None
        sizes = TargetSizes(len(self.target_bins), codec.num_codebooks, codec.codebook_size)
        # Last, as an objective may start from a copy of the encoder.
        self.objective = parts.build(Objective, config.objective, self.ssl_encoder, sizes)

    def forward(
        self,
        wave_BS: torch.Tensor,
        samples_B: torch.Tensor,
        codes_BTQ: torch.Tensor | None = None,
    ) -> Loss:
        """Loss of a batch; which frames are masked is drawn anew at each call.

        1. Extract the features, normalise them, and bring them to the encoder's width.
        2. Mask spans of what comes out.
        3. Let the stem's convolution, where there is one, and the encoder see the rest.
        4. Score the states of the masked frames.

        The figure `embedding_std` is near one where frames differ and near zero where the encoder
        has collapsed.

        Args:
            wave_BS: waves, zero on padding.
            samples_B: real samples of each row.
            codes_BTQ: codes of the input, where the objective reads them; -1 for none.
        """
        encoder = self.ssl_encoder
        features = encoder.front_end.extract(wave_BS, samples_B)
        inputs_BTF = encoder.front_end(features)
        lengths_B = -(-samples_B // encoder.grid.hop)
        valid_BT = valid_frames(lengths_B, inputs_BTF.shape[1])
        x_BTD = encoder.stem.linear(inputs_BTF)

        # Before the convolution, which would carry masked frames into their neighbours.
        seen_BTD, masked_BT = self.masking(x_BTD, valid_BT)
        seen_BTD = encoder.stem.convolve(seen_BTD, valid_BT)
        states = encoder.encoder(seen_BTD, valid_BT)

        batch = MaskedBatch(
            inputs_BTF=inputs_BTF,
            features_BTF=inputs_BTF[..., self.target_bins],
            codes_BTQ=codes_BTQ,
            valid_BT=valid_BT,
            masked_BT=masked_BT,
            states=states,
        )
        loss = self.objective.loss(batch)
        last_BTD = states[-1].detach()
        loss.figures["embedding_std"] = spread(last_BTD[valid_BT])
        return loss
