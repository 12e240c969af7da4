"""The All-In-One model: frozen encoder, MoE transformer, one head for text and one for codec codes.

Letters: B batch, T frames, F feature bins, D model width, Q codebooks, V codebook size, C codec latent channels.
"""

from dataclasses import dataclass, field

import torch
from torch import nn

from aio_toolkit.data.batch import Batch
from aio_toolkit.encoders.base import valid_frames
from aio_toolkit.heads.base import HeadLoss
from aio_toolkit.heads.codes import CodesHead
from aio_toolkit.heads.text import TextHead
from aio_toolkit.models.backbone import Backbone
from aio_toolkit.models.ssl import SslEncoder
from aio_toolkit.moe.base import Tables
from aio_toolkit.tasks import get_task
from aio_toolkit.text import Vocabulary


@dataclass
class AioOutput:
    """Losses of one batch, per task, and what every MoE layer did."""

    losses: dict[str, HeadLoss]
    tables: Tables


class AioModel(nn.Module):
    """One model for all tasks. `tasks` fixes the order of the gates, so it travels with the weights."""

    @dataclass
    class Config:
        """Parts trained in stage 4."""

        backbone: Backbone.Config = field(default_factory=Backbone.Config)
        text_head: TextHead.Config = field(default_factory=TextHead.Config)
        codes_head: CodesHead.Config = field(default_factory=CodesHead.Config)

    def __init__(
        self,
        config: Config,
        tasks: list[str],
        encoder: SslEncoder,
        vocabulary: Vocabulary | None,
        embedding_QVC: torch.Tensor | None,
    ):
        """`vocabulary` may be None without text tasks, `embedding_QVC` (the codec's vectors) without audio tasks."""
        super().__init__()
        self.tasks = tasks
        width = config.backbone.width
        self.encoder = encoder.requires_grad_(False).eval()
        self.feature_projection = nn.Linear(len(encoder.mean_F), width)
        self.layer_weight = nn.Parameter(torch.zeros(encoder.encoder.num_layers))
        self.layer_norm = nn.LayerNorm(encoder.encoder.width, elementwise_affine=False)
        self.layer_projection = nn.Linear(encoder.encoder.width, width)
        self.backbone = Backbone(config.backbone, len(tasks))
        text, audio = split_by_output(tasks)
        self.text_head = TextHead(config.text_head, width, vocabulary, text) if text else None
        self.codes_head = CodesHead(config.codes_head, width, embedding_QVC, audio) if audio else None

    def train(self, mode: bool = True) -> "AioModel":
        """Training mode for all but the encoder, which stays frozen in evaluation mode."""
        super().train(mode)
        self.encoder.eval()
        return self

    def encode(
        self, feats_BTF: torch.Tensor, lengths_B: torch.Tensor, task_B: torch.Tensor
    ) -> tuple[torch.Tensor, Tables]:
        """Backbone frames (B, T, D) and routing tables.

        The backbone reads a learned weighted sum of the frozen encoder's layers (SUPERB, Yang et al. 2021) plus a
        projection of the encoder's own input, which keeps what pre-training threw away.
        """
        with torch.no_grad():
            feats_BTF = self.encoder.normalise(feats_BTF)
            states = self.encoder(feats_BTF, lengths_B)
            states = torch.stack([self.layer_norm(state) for state in states])
        weight = self.layer_weight.softmax(0).to(states.dtype)
        mixed_BTD = torch.tensordot(weight, states, dims=1)
        x_BTD = self.feature_projection(feats_BTF) + self.layer_projection(mixed_BTD)
        return self.backbone(x_BTD, valid_frames(lengths_B, feats_BTF.shape[1]), task_B)

    def forward(self, batch: Batch) -> AioOutput:
        """Losses of a batch that mixes tasks."""
        h_BTD, tables = self.encode(batch.feats_BTF, batch.lengths_B, batch.task_B)
        losses = {}
        for task, target in batch.targets.items():
            rows = batch.rows[task]
            frames = h_BTD[rows], batch.lengths_B[rows]
            if get_task(task).output == "text":
                losses[task] = self.text_head.loss(*frames, target, task)
            else:
                losses[task] = self.codes_head.loss(*frames, target, task, self.latents_of(batch.feats_BTF[rows]))
        return AioOutput(losses, tables)

    def latents_of(self, feats_BTF: torch.Tensor) -> torch.Tensor:
        """The codec latents (B, T, C) of the input, which stand last in the front end's features."""
        return feats_BTF[..., -self.codes_head.embedding_QVC.shape[-1] :]


def split_by_output(tasks: list[str]) -> tuple[list[str], list[str]]:
    """Text tasks and audio tasks, each in the given order."""
    text = [task for task in tasks if get_task(task).output == "text"]
    return text, [task for task in tasks if task not in text]
