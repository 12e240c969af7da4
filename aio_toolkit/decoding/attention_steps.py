"""ESPnet's Transformer decoder token by token, for all hypotheses of all rows at a time.

Letters: B rows, H hypotheses of each, T frames, V vocabulary, D model width; L tokens read so far,
N attention heads, K width of a head.
"""

import math
from typing import Any

import torch

from aio_toolkit.layers import row_numbers


class AttentionSteps:
    """Log probability of hypotheses by the attention decoder.

    ESPnet's own steps multiply all frames by the weights of keys and values for each hypothesis and
    each token. Here that is done once for a row, and once for each token that is read.

    >>> from espnet2.asr.decoder.transformer_decoder import TransformerDecoder
    >>> decoder = TransformerDecoder(6, 8, 2, num_blocks=1, use_flash_attn=False).eval()
    >>> steps = AttentionSteps(decoder, torch.randn(1, 9, 8), torch.tensor([9]), start=4)
    >>> steps.scores().shape
    torch.Size([1, 1, 6])
    >>> steps.advance(torch.tensor([[0, 0]]), torch.tensor([[1, 3]]))
    >>> steps.scores().exp().sum() <= 1  # the share of sentences that begin with 1 or 3
    tensor(True)
    """

    def __init__(self, decoder: Any, h_BTD: torch.Tensor, lengths_B: torch.Tensor, start: int):
        """Begin with the start token in each row.

        Args:
            decoder: an ESPnet Transformer decoder as `heads.text` makes it: normalized before each
                sub-layer, without dropout.
            h_BTD: frames.
            lengths_B: real frames of each row.
            start: id of the token that is read first.
        """
        self.decoder = decoder
        self.layers = [_Layer(layer, h_BTD) for layer in decoder.decoders]
        frame_T = torch.arange(h_BTD.shape[1], device=h_BTD.device)
        is_padding_BT = frame_T >= lengths_B[:, None]
        self.mask_B11T = h_BTD.new_zeros(is_padding_BT.shape)[:, None, None]
        self.mask_B11T.masked_fill_(is_padding_BT[:, None, None], -torch.inf)

        self.last_BH = lengths_B.new_full((len(lengths_B), 1), start)
        self.read = 0
        self.score_BH = h_BTD.new_zeros(len(lengths_B), 1)
        self.score_BHV = torch.empty(0)

    def scores(self) -> torch.Tensor:
        """Log probabilities (B, H, V) of the hypotheses with each token behind them.

        It reads the last token, so it is called once between two calls of `advance`.
        """
        x_BHD = self._embed()
        for layer in self.layers:
            x_BHD = layer.read(x_BHD, self.mask_B11T)
        logit_BHV = self.decoder.output_layer(self.decoder.after_norm(x_BHD))
        self.score_BHV = logit_BHV.log_softmax(2) + self.score_BH[..., None]
        return self.score_BHV

    def advance(self, parent_BH: torch.Tensor, token_BH: torch.Tensor) -> None:
        """Replace the hypotheses by some of their continuations.

        Args:
            parent_BH: number of the hypothesis that is continued.
            token_BH: the token behind it.
        """
        row_B1 = row_numbers(parent_BH)
        for layer in self.layers:
            layer.key_BHNLK = layer.key_BHNLK[row_B1, parent_BH]
            layer.value_BHNLK = layer.value_BHNLK[row_B1, parent_BH]
        self.score_BH = self.score_BHV[row_B1, parent_BH, token_BH]
        self.last_BH = token_BH

    def keep(self, row_A: torch.Tensor) -> None:
        """Forget all rows but some."""
        for layer in self.layers:
            layer.keep(row_A)
        self.mask_B11T = self.mask_B11T[row_A]
        self.score_BHV = self.score_BHV[row_A]
        self.score_BH, self.last_BH = self.score_BH[row_A], self.last_BH[row_A]

    def _embed(self) -> torch.Tensor:
        """The last token at its place in the sentence."""
        embedding, position = self.decoder.embed
        x_BHD = embedding(self.last_BH)
        self.read += 1
        # Of no memory: it grows with the longest sentence, and goes where the frames are.
        position.extend_pe(x_BHD.new_zeros(1).expand(1, self.read))
        return x_BHD * position.xscale + position.pe[0, self.read - 1]


class _Layer:
    """A layer of the decoder with keys and values of what it has read."""

    def __init__(self, layer: Any, h_BTD: torch.Tensor):
        self.layer = layer
        source = layer.src_attn
        self.source_key_BNKT = _heads(source.linear_k(h_BTD), source).movedim(1, 3).contiguous()
        self.source_value_BNTK = _heads(source.linear_v(h_BTD), source).transpose(1, 2)
        self.source_value_BNTK = self.source_value_BNTK.contiguous()
        shape = len(h_BTD), 1, layer.self_attn.h, 0, layer.self_attn.d_k
        self.key_BHNLK = self.value_BHNLK = h_BTD.new_zeros(shape)

    def read(self, x_BHD: torch.Tensor, mask_B11T: torch.Tensor) -> torch.Tensor:
        """The answer (B, H, D) to one more token of each hypothesis."""
        layer = self.layer
        x_BHD = x_BHD + self._attend_to_tokens(layer.norm1(x_BHD))
        x_BHD = x_BHD + self._attend_to_frames(layer.norm2(x_BHD), mask_B11T)
        return x_BHD + layer.feed_forward(layer.norm3(x_BHD))

    def _attend_to_tokens(self, x_BHD: torch.Tensor) -> torch.Tensor:
        attention = self.layer.self_attn
        key_BHN1K = _heads(attention.linear_k(x_BHD), attention)[..., None, :]
        value_BHN1K = _heads(attention.linear_v(x_BHD), attention)[..., None, :]
        self.key_BHNLK = torch.cat([self.key_BHNLK, key_BHN1K], 3)
        self.value_BHNLK = torch.cat([self.value_BHNLK, value_BHN1K], 3)

        query_BHN1K = _query(x_BHD, attention)[..., None, :]
        share_BHN1L = (query_BHN1K @ self.key_BHNLK.transpose(3, 4)).softmax(4)
        y_BHNK = (share_BHN1L @ self.value_BHNLK)[..., 0, :]
        return attention.linear_out(y_BHNK.flatten(2))

    def _attend_to_frames(self, x_BHD: torch.Tensor, mask_B11T: torch.Tensor) -> torch.Tensor:
        attention = self.layer.src_attn
        query_BNHK = _query(x_BHD, attention).transpose(1, 2)
        share_BNHT = (query_BNHK @ self.source_key_BNKT + mask_B11T).softmax(3)
        y_BNHK = share_BNHT @ self.source_value_BNTK
        return attention.linear_out(y_BNHK.transpose(1, 2).flatten(2))

    def keep(self, row_A: torch.Tensor) -> None:
        """Forget all rows but some."""
        self.source_key_BNKT = self.source_key_BNKT[row_A]
        self.source_value_BNTK = self.source_value_BNTK[row_A]
        self.key_BHNLK, self.value_BHNLK = self.key_BHNLK[row_A], self.value_BHNLK[row_A]


def _query(x_BHD: torch.Tensor, attention: Any) -> torch.Tensor:
    return _heads(attention.linear_q(x_BHD), attention) / math.sqrt(attention.d_k)


def _heads(x: torch.Tensor, attention: Any) -> torch.Tensor:
    """The last dimension cut into heads of a width."""
    return x.unflatten(-1, (attention.h, attention.d_k))
