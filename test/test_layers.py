"""Sub-layers against PyTorch's own, and their treatment of padding."""

import math

import pytest
import torch
import torch.nn.functional as F

from aio_toolkit.layers import (
    ConvModule,
    FeedForward,
    Mixer,
    SelfAttention,
    attend,
    count_parameters,
    depthwise_conv,
    rotary_angles,
    rotate,
    valid_frames,
)


@pytest.mark.parametrize(("T", "K"), [(1, 3), (5, 7), (40, 1), (17, 15)])
def test_depthwise_conv_equals_conv1d(T, K):
    x_BTD, weight_KD = torch.randn(3, T, 6), torch.randn(K, 6)
    x_BDT, weight_D1K = x_BTD.transpose(1, 2), weight_KD.T[:, None]
    want_BDT = F.conv1d(x_BDT, weight_D1K, padding=K // 2, groups=6)
    torch.testing.assert_close(depthwise_conv(x_BTD, weight_KD), want_BDT.transpose(1, 2))


@pytest.mark.parametrize("key_heads", [4, 1])
def test_attention_equals_the_fused_kernel(key_heads):
    q, k, v = torch.randn(3, 2, 4, 9, 8)
    k, v = k[:, :key_heads], v[:, :key_heads]
    valid_BT = valid_frames(torch.tensor([9, 4]), 9)
    want = F.scaled_dot_product_attention(
        q, k.expand_as(q), v.expand_as(q), attn_mask=valid_BT[:, None, None]
    )
    torch.testing.assert_close(attend(q, k, v, valid_BT), want)


def test_attention_of_a_row_of_padding_alone_is_finite():
    q, k, v = torch.randn(3, 1, 2, 5, 8)
    assert attend(q, k, v, torch.zeros(1, 5, dtype=torch.bool)).isfinite().all()


def test_rotary_scores_depend_on_distance_alone():
    q, k = torch.randn(2, 1, 1, 1, 16).expand(2, 1, 1, 12, 16)
    cos, sin = rotary_angles(12, 16, q.device)
    score_TT = (rotate(q, cos, sin) @ rotate(k, cos, sin).transpose(-1, -2))[0, 0]
    for distance in range(-11, 12):
        diagonal = score_TT.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-4, rtol=1e-4)


def test_rotary_angles_equal_their_formula():
    cos_TC, sin_TC = rotary_angles(7, 6, torch.device("cpu"))
    for t in range(7):
        for c in range(3):
            angle = t * 10000 ** (-2 * c / 6)
            assert cos_TC[t, c].item() == pytest.approx(math.cos(angle), abs=1e-5)
            assert sin_TC[t, c].item() == pytest.approx(math.sin(angle), abs=1e-5)


@pytest.mark.parametrize("conv_kernel", [0, 5])
def test_padding_does_not_change_real_frames(conv_kernel):
    torch.manual_seed(0)
    mixer = Mixer(16, SelfAttention(16, 2), conv_kernel)
    x_BTD = torch.randn(1, 7, 16)
    alone = mixer(x_BTD, torch.ones(1, 7, dtype=torch.bool))
    padded_BTD = torch.cat([x_BTD, torch.randn(1, 4, 16) * 50], 1)
    padded = mixer(padded_BTD, valid_frames(torch.tensor([7]), 11))
    torch.testing.assert_close(padded[:, :7], alone, atol=1e-5, rtol=1e-5)


def test_a_mixer_is_attention_and_convolution_each_around_a_residual():
    torch.manual_seed(0)
    mixer, valid_BT = Mixer(8, SelfAttention(8, 2), 3), torch.ones(2, 6, dtype=torch.bool)
    x_BTD = torch.randn(2, 6, 8)
    seen_BTD = x_BTD + mixer.attention(F.layer_norm(x_BTD, (8,)), valid_BT)
    want_BTD = seen_BTD + mixer.conv(F.layer_norm(seen_BTD, (8,)), valid_BT)
    torch.testing.assert_close(mixer(x_BTD, valid_BT), want_BTD)


def test_a_convolution_is_gated_by_the_second_half_of_its_channels():
    torch.manual_seed(0)
    conv, x_BTD = ConvModule(4, 3), torch.randn(1, 5, 4)
    value_BTD, gate_BTD = conv.gate(x_BTD).chunk(2, -1)
    mixed_BTD = depthwise_conv(value_BTD * gate_BTD.sigmoid(), conv.depthwise_KD)
    want_BTD = conv.out(mixed_BTD * mixed_BTD.sigmoid())
    torch.testing.assert_close(conv(x_BTD, torch.ones(1, 5, dtype=torch.bool)), want_BTD)


def test_self_attention_sees_both_directions():
    attention = SelfAttention(8, 2)
    x_BTD = torch.randn(1, 6, 8, requires_grad=True)
    y_BTD = attention(x_BTD, torch.ones(1, 6, dtype=torch.bool))
    (gradient,) = torch.autograd.grad(y_BTD[0, 2].sum(), x_BTD)
    assert (gradient.abs().sum(-1) > 0).all()


def test_valid_frames_are_the_first_of_each_row():
    valid_BT = valid_frames(torch.tensor([0, 3, 5]), 5)
    assert valid_BT.sum(1).tolist() == [0, 3, 5]
    assert valid_BT[1].tolist() == [True, True, True, False, False]


def test_parameters_are_counted_with_their_biases():
    assert count_parameters(FeedForward(5, 7)) == 5 * 7 + 7 + 7 * 5 + 5
