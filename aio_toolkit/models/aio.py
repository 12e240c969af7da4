"""The All-In-One model: frozen encoder, MoE transformer, one head for each kind of answer.

Letters: B batch, T frames, F feature bins, D model width.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from aio_toolkit import parts
from aio_toolkit.answers.base import UnitsByKind
from aio_toolkit.config import Choice, each_of
from aio_toolkit.heads.base import Frames, Head
from aio_toolkit.layers import valid_frames
from aio_toolkit.loss import Loss
from aio_toolkit.models.backbone import Backbone
from aio_toolkit.models.batch import Batch
from aio_toolkit.models.ssl import SslEncoder
from aio_toolkit.moe.base import Tables
from aio_toolkit.tasks import Task, group_by_output


@dataclass
class AioOutput:
    """What `AioModel` makes of a batch.

    Attributes:
        losses: the loss of each task present, by its name.
        frames: the frames that its head read, by the task's name.
        tables: what every MoE layer did.
    """

    losses: dict[str, Loss]
    frames: dict[str, Frames]
    tables: Tables


class AioModel(nn.Module):
    """One model for all tasks.

    1. The frozen encoder's layers, weighed by a learned softmax, and the encoder's own input are
       projected to the width of the backbone.
    2. The backbone, told each row's task, mixes them.
    3. The head of a task's kind of answer reads its rows.

    Attributes:
        config: what it was made from.
        tasks: the tasks in the order of the gates; it travels with the weights.
        units: the units of each kind of answer.
        heads: a head for each kind of answer, by the kind's name.

    >>> from aio_toolkit.answers.text import TextUnits
    >>> from aio_toolkit.text import Vocabulary
    >>> asr = Task("asr", "speech recognition", "text", ("text",), ("wer",))
    >>> units = {"text": TextUnits(Vocabulary(("<blank>", "a", "<asr>", "<eos>"), b""))}
    >>> encoder = SslEncoder(SslEncoder.Config(), num_features=6)
    >>> model = AioModel(AioModel.Config(), [asr], encoder, units)
    >>> lengths_B, task_B = torch.tensor([5]), torch.tensor([0])
    >>> h_BTD, tables = model.encode(torch.randn(1, 5, 6), lengths_B, task_B)
    >>> h_BTD.shape, list(model.heads)
    (torch.Size([1, 5, 192]), ['text'])
    """

    @dataclass
    class Config:
        """Parts trained in stage 4.

        Attributes:
            backbone: the MoE transformer.
            heads: options of the head of each kind of answer, `heads/*.py`.
        """

        backbone: Backbone.Config = field(default_factory=Backbone.Config)
        heads: dict[str, Any] = each_of("heads")

    def __init__(
        self, config: Config, tasks: Sequence[Task], encoder: SslEncoder, units: UnitsByKind
    ):
        """Make all but the encoder.

        Args:
            config: sizes of the parts.
            tasks: all tasks of the model, in the order of its gates.
            encoder: of stage 3; it is frozen.
            units: the units of each kind of answer that the tasks have.

        Raises:
            AioError: sizes do not fit together, or an option is out of its range.
        """
        super().__init__()
        self.config = config
        self.tasks = list(tasks)
        self.units = dict(units)
        self.encoder = encoder.requires_grad_(requires_grad=False).eval()

        # The order of making is the order of random draws, on which seeds depend.
        width = config.backbone.width
        self.feature_projection = nn.Linear(encoder.num_features, width)
        num_layers = encoder.encoder.num_layers
        self.layer_weight = nn.Parameter(torch.zeros(num_layers))
        self.layer_norm = nn.LayerNorm(encoder.width, elementwise_affine=False)
        self.layer_projection = nn.Linear(encoder.width, width)
        self.backbone = Backbone(config.backbone, len(tasks))
        self.heads = nn.ModuleDict()
        for kind, of_kind in group_by_output(tasks).items():
            self.add_head(kind, of_kind)

    def add_head(self, kind: str, tasks: Sequence[Task]) -> Head:
        """Make the head of a kind of answer, for tasks that all have it."""
        choice = Choice(kind, self.config.heads.get(kind))
        width = self.config.backbone.width
        units = self.units[kind]
        head = parts.build(Head, choice, width, tasks, units)
        self.heads[kind] = head
        return head

    def head_of(self, task: Task) -> Head:
        """The head that answers a task."""
        return self.heads[task.output]  # type: ignore[return-value]

    # The signature is torch's own.
    def train(self, mode: bool = True) -> "AioModel":  # noqa: FBT001, FBT002
        """Training mode for all but the encoder, which stays frozen in evaluation mode."""
        super().train(mode)
        self.encoder.eval()
        return self

    def encode(
        self, feats_BTF: torch.Tensor, lengths_B: torch.Tensor, task_B: torch.Tensor
    ) -> tuple[torch.Tensor, Tables]:
        """Backbone frames (B, T, D) and routing tables.

        The backbone reads a learned weighted sum of the frozen encoder's layers (SUPERB, Yang et
        al. 2021) plus a projection of the encoder's own input, which keeps what pre-training threw
        away.

        Args:
            feats_BTF: features of the front end, not normalised.
            lengths_B: real frames of each row.
            task_B: index of each row's task in `tasks`.
        """
        with torch.no_grad():
            feats_BTF = self.encoder.normalise(feats_BTF)
            states = self.encoder(feats_BTF, lengths_B)
            # Pre-norm layers grow with depth; at one scale the softmax weighs them alone.
            normed = [self.layer_norm(state_BTD) for state_BTD in states]
            states_LBTD = torch.stack(normed)

        weight_L = self.layer_weight.softmax(0)
        weight_L = weight_L.to(states_LBTD.dtype)
        mixed_BTD = torch.tensordot(weight_L, states_LBTD, dims=1)
        of_features_BTD = self.feature_projection(feats_BTF)
        of_layers_BTD = self.layer_projection(mixed_BTD)
        x_BTD = of_features_BTD + of_layers_BTD

        valid_BT = valid_frames(lengths_B, feats_BTF.shape[1])
        return self.backbone(x_BTD, valid_BT, task_B)

    def forward(self, batch: Batch) -> AioOutput:
        """Losses of a batch that mixes tasks; those without targets have none."""
        h_BTD, tables = self.encode(batch.feats_BTF, batch.lengths_B, batch.task_B)
        output = AioOutput({}, {}, tables)
        for task in self.tasks:
            target = batch.targets.get(task.name)
            if target is None:
                continue
            rows = batch.rows[task.name]
            frames = Frames(
                h_BTD[rows],
                batch.lengths_B[rows],
                batch.feats_BTF[rows],
                task,
            )
            head = self.head_of(task)
            output.losses[task.name] = head.loss(frames, target)
            output.frames[task.name] = frames
        return output
