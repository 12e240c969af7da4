"""The Transformer against a slow one, and its treatment of padding."""

import pytest
import torch
import torch.nn.functional as F

from aio_toolkit.encoders.transformer import TransformerEncoder
from aio_toolkit.layers import valid_frames


def make(conv_kernel: int) -> TransformerEncoder:
    torch.manual_seed(0)
    sizes = {"width": 12, "num_layers": 2, "num_heads": 3, "ffn_width": 7}
    config = TransformerEncoder.Config(**sizes, conv_kernel=conv_kernel)
    return TransformerEncoder(config).eval()


def turned(x_C: torch.Tensor, t: int) -> torch.Tensor:
    """Channels c and c + C/2 as a complex number, turned by t * 10000 ** (-2c / C)."""
    half = len(x_C) // 2
    angle = t * 10000.0 ** (-2 * torch.arange(half) / len(x_C))
    number = torch.complex(x_C[:half], x_C[half:]) * torch.polar(torch.ones(half), angle)
    return torch.cat([number.real, number.imag])


def slow_attention(attention, x_TD: torch.Tensor) -> torch.Tensor:
    T, D = x_TD.shape
    C = D // attention.num_heads
    query_TD, key_TD, value_TD = attention.qkv(x_TD).chunk(3, dim=1)
    mixed_TD = torch.empty(T, D)
    for head in range(attention.num_heads):
        own = slice(head * C, (head + 1) * C)
        for t in range(T):
            query = turned(query_TD[t, own], t)
            scores = torch.stack([query @ turned(key_TD[s, own], s) for s in range(T)])
            mixed_TD[t, own] = (scores / C**0.5).softmax(0) @ value_TD[:, own]
    return attention.out(mixed_TD)


def slow_convolution(conv, x_TD: torch.Tensor) -> torch.Tensor:
    value_TD, gate_TD = conv.gate(x_TD).chunk(2, dim=1)
    gated_TD = value_TD * gate_TD.sigmoid()
    K, T = len(conv.depthwise_KD), len(x_TD)
    summed_TD = torch.zeros_like(gated_TD)
    for t in range(T):
        for k in range(K):
            if 0 <= t + k - K // 2 < T:
                summed_TD[t] += conv.depthwise_KD[k] * gated_TD[t + k - K // 2]
    return conv.out(F.silu(summed_TD))


@torch.no_grad()
@pytest.mark.parametrize("conv_kernel", [0, 3])
def test_states_equal_those_of_a_loop_over_frames(conv_kernel):
    encoder, x_BTD = make(conv_kernel), torch.randn(2, 7, 12)
    lengths_B = torch.tensor([7, 5])
    states = encoder(x_BTD, valid_frames(lengths_B, 7))
    for row, length in enumerate(lengths_B):
        x_TD = x_BTD[row, :length]
        for block, state_BTD in zip(encoder.blocks, states, strict=True):
            x_TD = x_TD + slow_attention(block.mixer.attention, block.mixer.attention_norm(x_TD))
            if conv_kernel:
                x_TD = x_TD + slow_convolution(block.mixer.conv, block.mixer.conv_norm(x_TD))
            inner_TH = F.gelu(block.feed_forward.w1(block.norm(x_TD)))
            x_TD = x_TD + block.feed_forward.w2(inner_TH)
            torch.testing.assert_close(state_BTD[row, :length], x_TD, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("conv_kernel", [0, 5])
def test_padding_does_not_change_real_frames(conv_kernel):
    encoder, x_BTD = make(conv_kernel), torch.randn(1, 7, 12)
    alone = encoder(x_BTD, torch.ones(1, 7, dtype=torch.bool))
    padded_BTD = torch.cat([x_BTD, torch.randn(1, 4, 12) * 50], 1)
    padded = encoder(padded_BTD, valid_frames(torch.tensor([7]), 11))
    for a, b in zip(alone, padded, strict=True):
        torch.testing.assert_close(b[:, :7], a, atol=1e-5, rtol=1e-5)
