"""Text by joint CTC and attention (Watanabe et al. 2017), with ESPnet's CTC and decoder.

Letters: see `heads.base`.
"""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, override

import torch
import torch.nn.functional as F
from torch import nn

# ESPnet prints that there is no flash attention, which is not asked for either.
with contextlib.redirect_stderr(io.StringIO()):
    from espnet2.asr.ctc import CTC
    from espnet2.asr.decoder.transformer_decoder import TransformerDecoder

from aio_toolkit.answers.text import TextUnits
from aio_toolkit.heads.base import Frames, Head
from aio_toolkit.loss import Loss, weighted_sum
from aio_toolkit.ranges import bounded
from aio_toolkit.tasks import Task

# What stands in targets where there is no token.
PADDING = -1


class TextHead(Head):
    """One decoder for all text tasks, told which by its start token; one CTC layer per task.

    Attributes:
        vocabulary: tokens of all text tasks.
        start: id of each task's start token, by the task's name.
        ctc: a layer for each task, by the task's name.
        decoder: ESPnet's Transformer decoder.

    >>> from aio_toolkit.text import Vocabulary
    >>> units = TextUnits(Vocabulary(("<blank>", "a", "b", "<asr>", "<eos>"), b""))
    >>> asr = Task("asr", "speech recognition", "text", ("text",), ("wer",))
    >>> head = TextHead(TextHead.Config(num_layers=1, num_heads=2), 8, [asr], units)
    >>> waves = torch.zeros(2, 1900), torch.tensor([1900, 1600])
    >>> frames = Frames(torch.randn(2, 6, 8), torch.tensor([6, 5]), asr, *waves)
    >>> loss = head.loss(frames, torch.tensor([[1, 2, 1], [2, -1, -1]]))
    >>> sorted(loss.figures), loss.rows_B.shape
    (['attention', 'ctc', 'token_accuracy'], torch.Size([2]))
    """

    @dataclass
    class Config:
        """Size and loss of the text head.

        Attributes:
            num_layers: blocks of the attention decoder.
            num_heads: attention heads of the decoder.
            ffn_width: width inside its feed-forward layers.
            ctc_weight: share of CTC in the loss, the rest is attention.
            label_smoothing: probability spread evenly over all tokens in the attention loss.
        """

        num_layers: int = bounded(2, least=1)
        num_heads: int = bounded(4, least=1)
        ffn_width: int = bounded(384, least=1)
        ctc_weight: float = bounded(0.5, least=0, most=1)
        label_smoothing: float = bounded(0.1, least=0, below=1)

    def __init__(self, config: Config, width: int, tasks: Sequence[Task], units: TextUnits):
        """Make the layers.

        Raises:
            AioError: the vocabulary was made without one of the tasks.
        """
        super().__init__(config, width, tasks, units)
        self.config = config
        self.vocabulary = units.vocabulary
        self.start = {task.name: self.vocabulary.start(task.name) for task in tasks}
        # CTC layers, then the decoder: they draw initial weights in this order.
        self.ctc = nn.ModuleDict({task.name: self._make_ctc(width) for task in tasks})
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

    def _make_ctc(self, width: int) -> CTC:
        return CTC(len(self.vocabulary), width)

    @override
    def keep(self, task: Task) -> None:
        """Throw away the CTC layers of other tasks; the decoder is everybody's."""
        name = task.name
        self.start = {name: self.start[name]}
        self.ctc = nn.ModuleDict({name: self.ctc[name]})

    @override
    def add_task(self, task: Task) -> list[nn.Parameter]:
        """Make room for one more task.

        Its start token is a row of the decoder's embedding, which trains with the gradient of all
        other rows zero.
        """
        other: Any = next(iter(self.ctc.values()))
        width = other.ctc_lo.in_features
        ctc = self._make_ctc(width)
        self.ctc[task.name] = ctc
        start = self.vocabulary.start(task.name)
        self.start[task.name] = start

        embedding = self.decoder.embed[0].weight
        own_V1 = torch.zeros(len(self.vocabulary), 1, device=embedding.device)
        own_V1[start] = 1
        # A frozen parameter takes no hook.
        embedding.requires_grad_()
        embedding.register_hook(lambda gradient_VD: gradient_VD * own_V1)
        return [*ctc.parameters(), embedding]

    @override
    def loss(self, frames: Frames, target: torch.Tensor) -> Loss:
        """Weighted sum of CTC and attention losses, both per token; `target` (B, L) is padded.

        Args:
            frames: of one task.
            target: token ids, -1 on padding.
        """
        # CTC and the small decoder are a few per cent of the compute, and half precision costs them
        # accuracy.
        with torch.autocast(frames.h_BTD.device.type, enabled=False):
            h_BTD = frames.h_BTD.float()
            tokens_B = (target != PADDING).sum(1)
            # A segment of the batch may hold shorter sentences than the batch was padded for.
            target_BL = target[:, : tokens_B.max()]
            sentences = _Sentences(target_BL, tokens_B, frames.task.name)
            ctc = self._ctc_loss(h_BTD, frames.lengths_B, sentences)
            attention = self._attention_loss(h_BTD, frames.lengths_B, sentences)

        weight = self.config.ctc_weight
        return weighted_sum([(weight, ctc), (1 - weight, attention)])

    def _ctc_loss(
        self, h_BTD: torch.Tensor, lengths_B: torch.Tensor, sentences: "_Sentences"
    ) -> Loss:
        layer: Any = self.ctc[sentences.task]
        log_prob_BTV = layer.log_softmax(h_BTD)
        # An utterance with fewer frames than tokens has no CTC path: it is left out rather than
        # made infinite.
        loss_B = F.ctc_loss(
            log_prob_BTV.transpose(0, 1),
            sentences.text_BL,
            lengths_B,
            sentences.tokens_B,
            reduction="none",
            zero_infinity=True,
        )
        tokens_B = sentences.tokens_B
        # Per token, as attention is, whatever the lengths of the sentences.
        total = loss_B.sum() / tokens_B.sum().clamp_min(1)
        rows_B = loss_B.detach() / tokens_B.clamp_min(1)
        return Loss(total, {"ctc": total.detach()}, rows_B)

    def _attention_loss(
        self, h_BTD: torch.Tensor, lengths_B: torch.Tensor, sentences: "_Sentences"
    ) -> Loss:
        """The decoder reads start, text; it is to answer text, end."""
        read_BL = sentences.after(self.start[sentences.task])
        answer_BL = sentences.before(self.vocabulary.eos)
        answered_B = sentences.tokens_B + 1
        logit_BLV, _ = self.decoder(h_BTD, lengths_B, read_BL, answered_B)

        logit_BVL = logit_BLV.transpose(1, 2)
        smoothing = self.config.label_smoothing
        options: dict[str, Any] = {"ignore_index": PADDING, "label_smoothing": smoothing}
        total = F.cross_entropy(logit_BVL, answer_BL, **options)
        with torch.no_grad():
            loss_BL = F.cross_entropy(logit_BVL, answer_BL, reduction="none", **options)
            rows_B = loss_BL.sum(1) / answered_B
            hit_BL = logit_BLV.argmax(-1) == answer_BL
            hit_N = hit_BL[answer_BL != PADDING]
            accuracy = hit_N.float().mean()
        figures = {"attention": total.detach(), "token_accuracy": accuracy}
        return Loss(total, figures, rows_B)


@dataclass
class _Sentences:
    """Sentences of one task.

    Attributes:
        target_BL: token ids, -1 on padding.
        tokens_B: how many of them are real.
        task: the task's name.
    """

    target_BL: torch.Tensor
    tokens_B: torch.Tensor
    task: str

    @property
    def text_BL(self) -> torch.Tensor:
        """The tokens with a valid id on padding, for those who look each of them up."""
        return self.target_BL.clamp_min(0)

    def after(self, token: int) -> torch.Tensor:
        """The sentences (B, 1 + L) behind a token."""
        B = len(self.target_BL)
        token_B1 = self.target_BL.new_full((B, 1), token)
        return torch.cat([token_B1, self.text_BL], 1)

    def before(self, token: int) -> torch.Tensor:
        """The sentences (B, L + 1) with a token behind the last of their own."""
        B = len(self.target_BL)
        padding_B1 = self.target_BL.new_full((B, 1), PADDING)
        longer_BL = torch.cat([self.target_BL, padding_B1], 1)
        row_B = torch.arange(B, device=longer_BL.device)
        longer_BL[row_B, self.tokens_B] = token
        return longer_BL
