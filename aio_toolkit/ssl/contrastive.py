"""Contrastive prediction, after wav2vec 2.0 (Baevski et al. 2020)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from aio_toolkit.loss import Loss
from aio_toolkit.ranges import bounded
from aio_toolkit.ssl._figures import spread
from aio_toolkit.ssl.base import FeatureEncoder, MaskedBatch, Objective, TargetSizes


class Contrastive(Objective):
    """Tell a masked frame's own features from those of other masked frames.

    The loss is Eq. 3 of wav2vec 2.0; the targets are ours. There they are quantized outputs of the
    layers below the Transformer, and a second loss keeps all codes in use. Here they are a trained
    linear map of the front end's features, not quantized. Nothing but the loss itself keeps them
    from becoming all alike; the figure `target_std` shows whether they do. The codec's codes are
    not used.

    Further letters: N distractors, C compared channels, X = 1 + N candidates.

    >>> objective = Contrastive(Contrastive.Config(dim=4), FeatureEncoder(8), TargetSizes(6, 2, 16))
    >>> masked_BT = torch.tensor([[False, True, True]])
    >>> feats_BTF, states = torch.randn(1, 3, 6), [torch.randn(1, 3, 8)]
    >>> batch = MaskedBatch(feats_BTF, feats_BTF, None, torch.ones(1, 3) > 0, masked_BT, states)
    >>> sorted(objective.loss(batch).figures)
    ['accuracy', 'target_std']
    """

    @dataclass
    class Config:
        """InfoNCE.

        Attributes:
            dim: channels C in which frames are compared.
            num_distractors: other masked frames of the utterance that each is compared with. What
                the whole utterance has in common, such as its speaker, does not help against these.
            cross_distractors: masked frames of any utterance of the batch that it is compared with
                besides. Here it does.
            temperature: what cosines are divided by.
        """

        dim: int = bounded(128, least=1)
        num_distractors: int = bounded(50, least=0)
        cross_distractors: int = bounded(0, least=0)
        temperature: float = bounded(0.1, above=0)

    def __init__(self, config: Config, encoder: FeatureEncoder, sizes: TargetSizes):
        super().__init__(config, encoder, sizes)
        self.config = config
        self.context = nn.Linear(encoder.width, config.dim)
        self.target = nn.Linear(sizes.num_features, config.dim)

    def loss(self, batch: MaskedBatch) -> Loss:
        """InfoNCE over the masked frames, its accuracy, and how much targets differ.

        1. Bring states and features of the masked frames to a common width and to norm one.
        2. Draw distractors for each.
        3. Classify the own target among them by cosine.
        """
        context_MC = _unit(self.context(batch.state_MD))
        target_MC = _unit(self.target(batch.features_MF))

        config = self.config
        other_MN, exists_M = draw_distractors(
            batch.masked_BT, config.num_distractors, config.cross_distractors
        )
        if not exists_M.any():
            # A single masked frame in every row: nothing to compare with, and a gradient of zero.
            return Loss((context_MC.sum() + target_MC.sum()) * 0)

        # The own target comes first, so class 0 is the right answer of every frame.
        own_M1C = target_MC[:, None]
        # A frame is a distractor many times. Unlike indexing, `F.embedding` adds up the gradients
        # of all its uses in a fixed order, on several threads too.
        other_MNC = F.embedding(other_MN, target_MC)
        candidate_MXC = torch.cat([own_M1C, other_MNC], dim=1)
        cosine_MX1 = candidate_MXC @ context_MC[..., None]
        logit_MX = cosine_MX1[..., 0] / config.temperature
        total, figures = _identify(logit_MX[exists_M])
        figures["target_std"] = spread(target_MC.detach())
        return Loss(total, figures)


def _unit(x_MC: torch.Tensor) -> torch.Tensor:
    # bfloat16 cannot tell cosines near one apart, and those decide.
    return F.normalize(x_MC.float(), dim=-1)


def _identify(logit_MX: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Cross-entropy of the first candidate, and how often it wins."""
    M = len(logit_MX)
    first_M = logit_MX.new_zeros(M, dtype=torch.long)
    total = F.cross_entropy(logit_MX, first_M)
    # A distractor that equals the target, as in silence, is no miss.
    better_MN = logit_MX[:, 1:] > logit_MX[:, :1]
    missed_M = better_MN.any(1)
    return total, {"accuracy": 1 - missed_M.float().mean()}


def draw_distractors(
    masked_BT: torch.Tensor, count: int, cross: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """For each masked frame `count` others of its row and `cross` of any row, with replacement.

    Returns:
        Their indices (M, count + cross) among the masked frames of the batch, in row-major order,
        and whether (M,) the frame has any other in its row.

    >>> draw_distractors(torch.tensor([[True, False, True], [False, True, False]]), count=2)
    (tensor([[1, 1],
            [0, 0],
            [2, 2]]), tensor([ True,  True, False]))
    """
    size_B = masked_BT.sum(1)
    # Masked frames are numbered row after row: a row's begin where those of earlier rows end.
    start_B = size_B.cumsum(0) - size_B
    size_M = size_B.repeat_interleave(size_B)
    start_M = start_B.repeat_interleave(size_B)
    M = len(size_M)
    place_M = torch.arange(M, device=size_M.device)

    in_row_MN = _draw_others(place_M - start_M, size_M, count)
    own_MN = start_M[:, None] + in_row_MN
    cross_MN = _draw_others(place_M, torch.full_like(size_M, M), cross)
    drawn_MN = torch.cat([own_MN, cross_MN], dim=1)
    return drawn_MN, size_M > 1


def _draw_others(place_M: torch.Tensor, size_M: torch.Tensor, count: int) -> torch.Tensor:
    """Draws (M, count) from 0 ... size - 1 except the own place, which stands in for no other."""
    last_M1 = size_M[:, None] - 1
    others_M1 = last_M1.clamp_min(1)
    uniform_MN = torch.rand(len(size_M), count, device=size_M.device)
    drawn_MN = (uniform_MN * others_M1).long()
    # Rounding may take the product up to the number of others.
    drawn_MN = drawn_MN.clamp_max(others_M1 - 1)
    # Stepping over the own place leaves every other one equally likely.
    skipped_MN = drawn_MN >= place_M[:, None]
    return (drawn_MN + skipped_MN).clamp_max(last_M1)
