"""Sub-layers against PyTorch's own, and their treatment of padding."""

import pytest
import torch
import torch.nn.functional as F

from aio_toolkit.encoders.base import EncoderConfig, valid_frames
from aio_toolkit.encoders.layers import SelfAttention, attend, depthwise_conv, rotary_angles, rotate
from aio_toolkit.encoders.transformer import TransformerEncoder


@pytest.mark.parametrize(("T", "K"), [(1, 3), (5, 7), (40, 1), (17, 15)])
def test_depthwise_conv_equals_conv1d(T, K):
    x_BTD, weight_KD = torch.randn(3, T, 6), torch.randn(K, 6)
    want = F.conv1d(x_BTD.transpose(1, 2), weight_KD.T[:, None], padding=K // 2, groups=6).transpose(1, 2)
    torch.testing.assert_close(depthwise_conv(x_BTD, weight_KD), want)


def test_attention_equals_the_fused_kernel():
    q, k, v = torch.randn(3, 2, 4, 9, 8)
    valid_BT = valid_frames(torch.tensor([9, 4]), 9)
    want = F.scaled_dot_product_attention(q, k, v, attn_mask=valid_BT[:, None, None])
    torch.testing.assert_close(attend(q, k, v, valid_BT), want)


def test_rotary_scores_depend_on_distance_alone():
    q, k = torch.randn(2, 1, 1, 1, 16).expand(2, 1, 1, 12, 16)
    cos, sin = rotary_angles(12, 16, q.device)
    score_TT = (rotate(q, cos, sin) @ rotate(k, cos, sin).transpose(-1, -2))[0, 0]
    for distance in range(-11, 12):
        diagonal = score_TT.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("conv_kernel", [0, 5])
def test_padding_does_not_change_real_frames(conv_kernel):
    torch.manual_seed(0)
    config = EncoderConfig(width=16, num_layers=2, num_heads=2, hidden=32, conv_kernel=conv_kernel)
    encoder = TransformerEncoder(config).eval()
    x_BTD = torch.randn(1, 7, 16)
    alone = encoder(x_BTD, torch.ones(1, 7, dtype=torch.bool))
    padded_BTD = torch.cat([x_BTD, torch.randn(1, 4, 16) * 50], 1)
    padded = encoder(padded_BTD, valid_frames(torch.tensor([7]), 11))
    for a, b in zip(alone, padded, strict=True):
        torch.testing.assert_close(b[:, :7], a, atol=1e-5, rtol=1e-5)


def test_self_attention_sees_both_directions():
    attention = SelfAttention(8, 2)
    x_BTD = torch.randn(1, 6, 8, requires_grad=True)
    y_BTD = attention(x_BTD, torch.ones(1, 6, dtype=torch.bool))
    (gradient,) = torch.autograd.grad(y_BTD[0, 2].sum(), x_BTD)
    assert (gradient.abs().sum(-1) > 0).all()
