"""Text by joint CTC and attention (Watanabe et al. 2017), with ESPnet's CTC and Transformer
decoder."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import override

import torch
import torch.nn.functional as F
from torch import nn

with contextlib.redirect_stderr(
    io.StringIO()
):  # ESPnet reports the absence of flash attention on import
    from espnet2.asr.ctc import CTC
    from espnet2.asr.decoder.transformer_decoder import TransformerDecoder

from aio_toolkit.answers.text import TextUnits
from aio_toolkit.heads.base import Frames, Head
from aio_toolkit.loss import Loss
from aio_toolkit.tasks import Task


class TextHead(Head):
    """One decoder for all text tasks, told which by its start token; one CTC layer per task."""

    @dataclass
    class Config:
        """Size and loss of the text head.

        Attributes:
            num_layers: blocks of the attention decoder.
            num_heads: attention heads of the decoder.
            ffn_width: width inside its feed-forward layers.
            ctc_weight: share of CTC in the loss, the rest is attention.
            label_smoothing: probability spread over the other tokens in the attention loss.
        """

        num_layers: int = 2
        num_heads: int = 4
        ffn_width: int = 384
        ctc_weight: float = 0.5
        label_smoothing: float = 0.1

    def __init__(self, config: Config, width: int, tasks: Sequence[Task], units: TextUnits):
        super().__init__(config, width, tasks, units)
        self.config = config
        self.vocabulary = units.vocabulary
        self.start = {task.name: self.vocabulary.start(task.name) for task in tasks}
        self.ctc = nn.ModuleDict({task.name: CTC(len(self.vocabulary), width) for task in tasks})
        self.decoder = TransformerDecoder(
            len(self.vocabulary),
            width,
            attention_heads=config.num_heads,
            linear_units=config.ffn_width,
            num_blocks=config.num_layers,
            dropout_rate=0.0,
            positional_dropout_rate=0.0,
            use_flash_attn=False,
        )

    @override
    def keep(self, task: Task) -> None:
        self.start = {task.name: self.start[task.name]}
        self.ctc = nn.ModuleDict({task.name: self.ctc[task.name]})

    @override
    def add_task(self, task: Task) -> list[nn.Parameter]:
        """Make room for one more task.

        Its start token is a row of the decoder's embedding, which trains with the gradient of all
        other rows zero.
        """
        width = next(iter(self.ctc.values())).ctc_lo.in_features
        self.start[task.name] = self.vocabulary.start(task.name)
        self.ctc[task.name] = CTC(len(self.vocabulary), width)

        embedding = self.decoder.embed[0].weight
        own_V1 = torch.zeros(len(self.vocabulary), 1, device=embedding.device)
        own_V1[self.start[task.name]] = 1
        embedding.requires_grad_(True).register_hook(lambda gradient: gradient * own_V1)
        return [*self.ctc[task.name].parameters(), embedding]

    @override
    def loss(self, frames: Frames, target: torch.Tensor) -> Loss:
        """Weighted sum of CTC and attention losses, both per token; `target` (B, L) is padded with
        -1."""
        # CTC and the small decoder are a few per cent of the compute, and half precision costs them
        # accuracy.
        with torch.autocast(frames.h_BTD.device.type, enabled=False):
            h_BTD = frames.h_BTD.float()
            tokens_B = (target >= 0).sum(1)
            # A segment of the batch may hold shorter sentences than the batch was padded for.
            target_BL = target[:, : tokens_B.max()]
            sentences = _Sentences(target_BL, tokens_B, frames.task.name)
            ctc = self._ctc_loss(h_BTD, frames.lengths_B, sentences)
            attention, accuracy = self._attention_loss(h_BTD, frames.lengths_B, sentences)

        weight = self.config.ctc_weight
        total = weight * ctc + (1 - weight) * attention
        figures = {"ctc": ctc.detach(), "attention": attention.detach(), "token_accuracy": accuracy}
        return Loss(total, figures)

    def _ctc_loss(
        self, h_BTD: torch.Tensor, lengths_B: torch.Tensor, sentences: "_Sentences"
    ) -> torch.Tensor:
        log_prob_TBV = self.ctc[sentences.task].log_softmax(h_BTD).transpose(0, 1)
        # An utterance with fewer frames than tokens has no CTC path: it is left out rather than
        # made infinite.
        loss_B = F.ctc_loss(
            log_prob_TBV,
            sentences.target_BL.clamp_min(0),
            lengths_B,
            sentences.tokens_B,
            reduction="none",
            zero_infinity=True,
        )
        return loss_B.sum() / sentences.tokens_B.sum().clamp_min(1)

    def _attention_loss(
        self, h_BTD: torch.Tensor, lengths_B: torch.Tensor, sentences: "_Sentences"
    ) -> tuple[torch.Tensor, torch.Tensor]:
        target_BL, tokens_B = sentences.target_BL, sentences.tokens_B
        B = len(target_BL)
        text_BL = target_BL.clamp_min(0)

        # The decoder reads start, text; it is to answer text, end.
        start_B1 = text_BL.new_full((B, 1), self.start[sentences.task])
        logit_BLV, _ = self.decoder(
            h_BTD, lengths_B, torch.cat([start_B1, text_BL], 1), tokens_B + 1
        )
        answer_BL = torch.cat([target_BL, target_BL.new_full((B, 1), -1)], 1)
        answer_BL[torch.arange(B, device=answer_BL.device), tokens_B] = self.vocabulary.eos

        loss = F.cross_entropy(
            logit_BLV.transpose(1, 2),
            answer_BL,
            ignore_index=-1,
            label_smoothing=self.config.label_smoothing,
        )
        hit_BL = logit_BLV.detach().argmax(-1) == answer_BL
        accuracy = hit_BL[answer_BL >= 0].float().mean()
        return loss, accuracy


@dataclass
class _Sentences:
    """Sentences of one task: ids padded with -1, how many are real, and the task's name."""

    target_BL: torch.Tensor
    tokens_B: torch.Tensor
    task: str
