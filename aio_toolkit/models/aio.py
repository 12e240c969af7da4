"""The All-In-One model: frozen encoder, MoE transformer, one head for each kind of answer.

Letters: B batch, S samples, T frames, F feature bins, D model width.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from aio_toolkit import parts
from aio_toolkit.answers.base import UnitsByKind
from aio_toolkit.config import Choice, each_of
from aio_toolkit.errors import AioError
from aio_toolkit.frontend.stack import Features, FrontEndStack
from aio_toolkit.heads.base import Frames, Head
from aio_toolkit.layers import valid_frames
from aio_toolkit.loss import Loss
from aio_toolkit.models.backbone import EMBEDDING_SCALE, Backbone
from aio_toolkit.models.batch import Batch
from aio_toolkit.models.prefix import Prefix, cut_off, prepend
from aio_toolkit.models.ssl import SslEncoder
from aio_toolkit.moe.base import Tables
from aio_toolkit.tasks import Task, group_by_output

# Taken for the length of training examples until training tells.
UNTRAINED_SECONDS = 4.0


@dataclass
class BackboneOutput:
    """What the backbone makes of waves, and what its heads may read besides.

    Attributes:
        h_BTD: frames of the backbone.
        lengths_B: real frames of each row.
        features: features (B, T, F) of every front end as they are, by its name.
        tables: what every MoE layer did.
    """

    h_BTD: torch.Tensor
    lengths_B: torch.Tensor
    features: dict[str, torch.Tensor]
    tables: Tables


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

    1. The frozen encoder hears the wave. Its layers, weighed by a learned softmax, and all features
       are projected to the width of the backbone.
    2. The backbone, told each row's task, mixes them.
    3. The head of a task's kind of answer reads its rows.

    Attributes:
        config: what it was made from.
        tasks: the tasks in the order of the gates; it travels with the weights.
        units: the units of each kind of answer.
        encoder: the frozen encoder.
        front_end: what the backbone reads besides what the encoder hears.
        heads: a head for each kind of answer, by the kind's name.
        example_seconds: how long the examples were that training showed it, by task's name: what is
            much longer is best heard in pieces.

    >>> import numpy as np
    >>> from aio_toolkit.answers.text import TextUnits
    >>> from aio_toolkit.frames import FrameGrid
    >>> from aio_toolkit.models.batch import Example, collate
    >>> from aio_toolkit.text import Vocabulary
    >>> asr = Task("asr", "speech recognition", "text", ("text",), ("wer",))
    >>> units = {"text": TextUnits(Vocabulary(("<blank>", "a", "<asr>", "<eos>"), b""))}
    >>> encoder = SslEncoder(SslEncoder.Config(), FrameGrid(16000, 320))
    >>> model = AioModel(AioModel.Config(), [asr], encoder, units)
    >>> spoken = Example("asr-1", asr, np.zeros(900, np.float32))
    >>> output = model.encode(collate([spoken], [asr], encoder.grid.hop))
    >>> output.h_BTD.shape, list(model.heads)
    (torch.Size([1, 3, 192]), ['text'])
    """

    @dataclass
    class Config:
        """Parts trained in stage 4.

        Attributes:
            front_end: what the backbone reads besides what the encoder hears.
            backbone: the MoE transformer.
            heads: options of the head of each kind of answer, `heads/*.py`.
        """

        front_end: FrontEndStack.Config = field(default_factory=FrontEndStack.Config)
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
            AioError: sizes do not fit together, an option is out of its range, a front end is named
                twice, or a head reads one that is not there.
        """
        super().__init__()
        self.config = config
        self.tasks = list(tasks)
        self.example_seconds = {task.name: UNTRAINED_SECONDS for task in tasks}
        self.units = dict(units)
        self.encoder = encoder.requires_grad_(requires_grad=False).eval()
        self.front_end = FrontEndStack(config.front_end, encoder.grid)
        for kind in config.front_end.parts:
            if kind in encoder.front_end.parts:
                problem = f"the encoder hears '{kind}', which the backbone then reads too"
                raise AioError(f"model.front_end.parts: {problem}. Leave it out.")

        # The order of making is the order of random draws, on which seeds depend.
        width = config.backbone.width
        num_features = encoder.front_end.num_features + self.front_end.num_features
        self.feature_projection = nn.Linear(num_features, width)
        num_layers = encoder.encoder.num_layers
        self.layer_weight = nn.Parameter(torch.zeros(num_layers))
        self.layer_norm = nn.LayerNorm(encoder.width, elementwise_affine=False)
        self.layer_projection = nn.Linear(encoder.width, width)
        self.backbone = Backbone(config.backbone, len(tasks))
        # Of the tasks' further inputs, by name.
        self.input_embedding = nn.ParameterDict()
        for task in tasks:
            self.add_inputs(task)
        self.heads = nn.ModuleDict()
        for kind, of_kind in group_by_output(tasks).items():
            self.add_head(kind, of_kind)

    def add_inputs(self, task: Task) -> list[nn.Parameter]:
        """Make room for the further inputs of a task; return the parameters of those that are new.

        A vector for each tells its frames from those of the recording.
        """
        new = [name for name in task.inputs if name not in self.input_embedding]
        for name in new:
            embedding_D = torch.randn(self.config.backbone.width) * EMBEDDING_SCALE
            self.input_embedding[name] = nn.Parameter(embedding_D)
        return [self.input_embedding[name] for name in new]

    def add_head(self, kind: str, tasks: Sequence[Task]) -> Head:
        """Make the head of a kind of answer, for tasks that all have it."""
        choice = Choice(kind, self.config.heads.get(kind))
        width = self.config.backbone.width
        units = self.units[kind]
        head = parts.build(Head, choice, width, tasks, units)
        heard = {*self.encoder.front_end.parts, *self.front_end.parts}
        missing = sorted(head.reads - heard)
        if missing:
            problem = f"the {kind} head reads front end {', '.join(missing)}"
            remedy = "Add it to model.front_end.parts of stage 4, or leave out what reads it."
            raise AioError(f"{problem}, which the model does not have. {remedy}")
        self.heads[kind] = head
        return head

    def wanted(self, kind: str) -> frozenset[str]:
        """What the head of a kind of answer learns from, see `Head.wanted`."""
        choice = Choice(kind, self.config.heads.get(kind))
        return parts.find(Head, kind).wanted(parts.options_of(Head, choice))

    def head_of(self, task: Task) -> Head:
        """The head that answers a task."""
        return self.heads[task.output]  # type: ignore[return-value]

    # The signature is torch's own.
    def train(self, mode: bool = True) -> "AioModel":  # noqa: FBT001, FBT002
        """Training mode for all but the encoder, which stays frozen in evaluation mode."""
        super().train(mode)
        self.encoder.eval()
        return self

    def encode(self, batch: Batch) -> BackboneOutput:
        """Frames of the backbone, and how it routed them.

        1. Hear the recordings, and what rows hear besides.
        2. Put the frames of the latter, each marked by a learned vector of its input's name, before
           those of the recording.
        3. Run the backbone, and cut them off again.
        """
        features, x_BTD = self._hear(batch.wave_BS, batch.samples_B)
        hop = self.encoder.grid.hop
        recording_B = lengths_B = -(-batch.samples_B // hop)
        T = x_BTD.shape[1]
        prefixes = []
        for name, further in batch.inputs.items():
            _, x_RTD = self._hear(further.wave_RS, further.samples_R)
            marked_RTD = x_RTD + self.input_embedding[name]
            prefixes.append(Prefix(marked_RTD, -(-further.samples_R // hop), further.rows))
        if prefixes:
            x_BTD, lengths_B = prepend(x_BTD, recording_B, prefixes)

        valid_BT = valid_frames(lengths_B, x_BTD.shape[1])
        h_BTD, tables = self.backbone(x_BTD, valid_BT, batch.task_B)
        if prefixes:
            h_BTD = cut_off(h_BTD, lengths_B, recording_B, T)
        return BackboneOutput(h_BTD, recording_B, features, tables)

    def _hear(
        self, wave_BS: torch.Tensor, samples_B: torch.Tensor
    ) -> tuple[Features, torch.Tensor]:
        """Features of waves as they are, and the input (B, T, D) of the backbone.

        It reads a learned weighted sum of the frozen encoder's layers (SUPERB, Yang et al. 2021)
        plus a projection of all features, which keeps what pre-training threw away.
        """
        heard = self.encoder.front_end.extract(wave_BS, samples_B)
        besides = self.front_end.extract(wave_BS, samples_B)
        inputs_BTF = self.encoder.front_end(heard)
        with torch.no_grad():
            states = self.encoder(inputs_BTF, -(-samples_B // self.encoder.grid.hop))
            # Pre-norm layers grow with depth; at one scale the softmax weighs them alone.
            normed = [self.layer_norm(state_BTD) for state_BTD in states]
            states_LBTD = torch.stack(normed)

        weight_L = self.layer_weight.softmax(0)
        weight_L = weight_L.to(states_LBTD.dtype)
        mixed_BTD = torch.tensordot(weight_L, states_LBTD, dims=1)
        if besides:
            inputs_BTF = torch.cat([inputs_BTF, self.front_end(besides)], dim=-1)
        x_BTD = self.feature_projection(inputs_BTF) + self.layer_projection(mixed_BTD)
        return heard | besides, x_BTD

    def frames(self, output: BackboneOutput, batch: Batch, task: Task) -> Frames:
        """The rows of a task that its head reads."""
        rows = batch.rows[task.name]
        features = {kind: of_kind[rows] for kind, of_kind in output.features.items()}
        return Frames(
            h_BTD=output.h_BTD[rows],
            lengths_B=output.lengths_B[rows],
            task=task,
            wave_BS=batch.wave_BS[rows],
            samples_B=batch.samples_B[rows],
            features=features,
        )

    def forward(self, batch: Batch) -> AioOutput:
        """Losses of a batch that mixes tasks; those without targets have none."""
        encoded = self.encode(batch)
        output = AioOutput({}, {}, encoded.tables)
        for task in self.tasks:
            target = batch.targets.get(task.name)
            if target is None:
                continue
            frames = self.frames(encoded, batch, task)
            head = self.head_of(task)
            output.losses[task.name] = head.loss(frames, target)
            output.frames[task.name] = frames
        return output
