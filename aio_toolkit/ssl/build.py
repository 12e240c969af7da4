"""Objectives by the name that a configuration gives."""

from dataclasses import dataclass, field

from torch import nn

from aio_toolkit.errors import AioError
from aio_toolkit.ssl.best_rq import BestRq
from aio_toolkit.ssl.contrastive import Contrastive
from aio_toolkit.ssl.masked_codes import MaskedCodes
from aio_toolkit.ssl.self_distillation import SelfDistillation

KINDS = ("masked_codes", "best_rq", "contrastive", "self_distillation")


@dataclass
class ObjectiveConfig:
    """What stage 3 learns from.

    Attributes:
        kind: `masked_codes` (EnCodecMAE), `best_rq`, `contrastive` (wav2vec 2.0) or `self_distillation` (data2vec 2.0);
            the section of that name has its options.
        mask_share: expected share of frames hidden, in (0, 1).
        span: frames hidden at a stretch.
    """

    kind: str = "masked_codes"
    mask_share: float = 0.5
    span: int = 8
    masked_codes: MaskedCodes.Config = field(default_factory=MaskedCodes.Config)
    best_rq: BestRq.Config = field(default_factory=BestRq.Config)
    contrastive: Contrastive.Config = field(default_factory=Contrastive.Config)
    self_distillation: SelfDistillation.Config = field(default_factory=SelfDistillation.Config)


def build_objective(config: ObjectiveConfig, encoder: nn.Module, num_codebooks: int, codebook_size: int) -> nn.Module:
    """The objective called `config.kind`.

    Args:
        config: kind and options.
        encoder: the `SslEncoder` that it is to train.
        num_codebooks: the codec's codebooks.
        codebook_size: codes in each.

    Raises:
        AioError: unknown kind, or a share that is not one.
    """
    if not 0 < config.mask_share < 1:
        raise AioError(f"objective.mask_share {config.mask_share} is not in (0, 1).")
    width, num_features = encoder.encoder.width, len(encoder.mean_F)
    if config.kind == "masked_codes":
        return MaskedCodes(config.masked_codes, width, num_codebooks, codebook_size)
    if config.kind == "best_rq":
        return BestRq(config.best_rq, width, num_features)
    if config.kind == "contrastive":
        return Contrastive(config.contrastive, width, num_features)
    if config.kind == "self_distillation":
        return SelfDistillation(config.self_distillation, encoder)
    raise AioError(f"unknown objective.kind '{config.kind}'. Choose one of: {', '.join(KINDS)}.")
