"""Text by joint CTC and attention (Watanabe et al. 2017), with ESPnet's CTC and Transformer decoder."""

import contextlib
import io
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

with contextlib.redirect_stderr(io.StringIO()):  # ESPnet reports the absence of flash attention on import
    from espnet2.asr.ctc import CTC
    from espnet2.asr.decoder.transformer_decoder import TransformerDecoder

from aio_toolkit.heads.base import HeadLoss
from aio_toolkit.text import Vocabulary


class TextHead(nn.Module):
    """One decoder for all text tasks, told which by its start token; one CTC layer per task."""

    @dataclass
    class Config:
        """Size and loss of the text head.

        Attributes:
            num_layers: blocks of the attention decoder.
            num_heads: attention heads of the decoder.
            hidden: width inside its feed-forward layers.
            ctc_weight: share of CTC in the loss, the rest is attention.
            label_smoothing: probability spread over the other tokens in the attention loss.
        """

        num_layers: int = 2
        num_heads: int = 4
        hidden: int = 384
        ctc_weight: float = 0.5
        label_smoothing: float = 0.1

    def __init__(self, config: Config, width: int, vocabulary: Vocabulary, tasks: list[str]):
        super().__init__()
        self.config = config
        self.eos = vocabulary.eos
        self.start = {task: vocabulary.start(task) for task in tasks}
        self.ctc = nn.ModuleDict({task: CTC(len(vocabulary), width) for task in tasks})
        self.decoder = TransformerDecoder(
            len(vocabulary),
            width,
            attention_heads=config.num_heads,
            linear_units=config.hidden,
            num_blocks=config.num_layers,
            dropout_rate=0.0,
            positional_dropout_rate=0.0,
            use_flash_attn=False,
        )

    def keep(self, task: str) -> None:
        """Throw away what only other tasks use."""
        self.start = {task: self.start[task]}
        self.ctc = nn.ModuleDict({task: self.ctc[task]})

    def add_task(self, task: str, vocabulary: Vocabulary) -> list[nn.Parameter]:
        """Make room for one more task; return what is its alone.

        Its start token is a row of the decoder's embedding, which trains with the gradient of all other rows zero.
        """
        self.start[task] = vocabulary.start(task)
        self.ctc[task] = CTC(len(vocabulary), self.ctc[next(iter(self.ctc))].ctc_lo.in_features)
        embedding = self.decoder.embed[0].weight
        own_V1 = torch.zeros(len(vocabulary), 1, device=embedding.device)
        own_V1[self.start[task]] = 1
        embedding.requires_grad_(True).register_hook(lambda gradient: gradient * own_V1)
        return [*self.ctc[task].parameters(), embedding]

    def loss(self, h_BTD: torch.Tensor, lengths_B: torch.Tensor, target_BL: torch.Tensor, task: str) -> HeadLoss:
        """Weighted sum of CTC and attention losses, both per token."""
        # CTC and the small decoder are a few per cent of the compute, and half precision costs them accuracy.
        with torch.autocast(h_BTD.device.type, enabled=False):
            h_BTD = h_BTD.float()
            tokens_B = (target_BL >= 0).sum(1)
            target_BL = target_BL[:, : tokens_B.max()]
            ctc = self._ctc_loss(h_BTD, lengths_B, target_BL, tokens_B, task)
            attention, accuracy = self._attention_loss(h_BTD, lengths_B, target_BL, tokens_B, task)
        weight = self.config.ctc_weight
        total = weight * ctc + (1 - weight) * attention
        return HeadLoss(total, {"ctc": ctc.detach(), "attention": attention.detach(), "token_accuracy": accuracy})

    def _ctc_loss(self, h_BTD, lengths_B, target_BL, tokens_B, task) -> torch.Tensor:
        log_prob_TBV = self.ctc[task].log_softmax(h_BTD).transpose(0, 1)
        # An utterance with fewer frames than tokens has no CTC path: it is left out rather than made infinite.
        loss_B = F.ctc_loss(
            log_prob_TBV, target_BL.clamp_min(0), lengths_B, tokens_B, reduction="none", zero_infinity=True
        )
        return loss_B.sum() / tokens_B.sum().clamp_min(1)

    def _attention_loss(self, h_BTD, lengths_B, target_BL, tokens_B, task) -> tuple[torch.Tensor, torch.Tensor]:
        B, L = target_BL.shape
        text_BL = target_BL.clamp_min(0)
        start_B1 = text_BL.new_full((B, 1), self.start[task])
        logit_BLV, _ = self.decoder(h_BTD, lengths_B, torch.cat([start_B1, text_BL], 1), tokens_B + 1)
        answer_BL = torch.cat([target_BL, target_BL.new_full((B, 1), -1)], 1)
        answer_BL[torch.arange(B, device=answer_BL.device), tokens_B] = self.eos
        loss = F.cross_entropy(
            logit_BLV.transpose(1, 2), answer_BL, ignore_index=-1, label_smoothing=self.config.label_smoothing
        )
        counted_BL = answer_BL >= 0
        accuracy = (logit_BLV.detach().argmax(-1) == answer_BL)[counted_BL].float().mean()
        return loss, accuracy
