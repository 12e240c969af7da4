"""The sub-layers of a Transformer block.

Letters: B batch, T frames, D width, H heads, C width of a head, K frames of a kernel.
"""

import torch
import torch.nn.functional as F
from torch import nn


class SelfAttention(nn.Module):
    """Multi-head self-attention in both directions, rotary positions (RoFormer, Su et al. 2021).

    >>> attention = SelfAttention(width=8, num_heads=2)
    >>> x_BTD = torch.randn(1, 5, 8)
    >>> attention(x_BTD, valid_frames(torch.tensor([5]), 5)).shape
    torch.Size([1, 5, 8])
    """

    def __init__(self, width: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x_BTD: torch.Tensor, valid_BT: torch.Tensor) -> torch.Tensor:
        """Frames (B, T, D) mixed over time; padded frames are not attended to."""
        B, T, D = x_BTD.shape
        H = self.num_heads
        C = D // H

        # One product for queries, keys and values is faster than three.
        qkv_BTX = self.qkv(x_BTD)
        qkv_BT3HC = qkv_BTX.view(B, T, 3, H, C)
        qkv_3BHTC = qkv_BT3HC.permute(2, 0, 3, 1, 4)
        query_BHTC, key_BHTC, value_BHTC = qkv_3BHTC

        cos_TC, sin_TC = rotary_angles(T, C, x_BTD.device)
        query_BHTC = rotate(query_BHTC, cos_TC, sin_TC)
        key_BHTC = rotate(key_BHTC, cos_TC, sin_TC)

        seen_BHTC = attend(query_BHTC, key_BHTC, value_BHTC, valid_BT)
        seen_BTHC = seen_BHTC.transpose(1, 2)
        return self.out(seen_BTHC.reshape(B, T, D))


def attend(
    query_BHTC: torch.Tensor,
    key_BHTC: torch.Tensor,
    value_BHTC: torch.Tensor,
    valid_BT: torch.Tensor,
) -> torch.Tensor:
    """Scaled dot-product attention (B, H, T, C) that ignores padded keys.

    Keys and values may have a single head, which all queries then share.

    >>> x_BHTC = torch.ones(1, 2, 3, 4)
    >>> attend(x_BHTC, x_BHTC, x_BHTC, torch.tensor([[True, True, False]])).equal(x_BHTC)
    True
    """
    dtype = query_BHTC.dtype
    # The lowest number, not minus infinity: a row of padding alone shall not become NaN.
    lowest = torch.finfo(dtype).min
    mask_BT = torch.zeros_like(valid_BT, dtype=dtype)
    mask_BT = mask_BT.masked_fill(~valid_BT, lowest)
    mask_B11T = mask_BT[:, None, None, :]

    if query_BHTC.is_cuda:
        return F.scaled_dot_product_attention(query_BHTC, key_BHTC, value_BHTC, attn_mask=mask_B11T)
    # On a CPU two plain products beat the fused kernel fourfold in bfloat16 at a hundred frames.
    C = query_BHTC.shape[-1]
    key_BHCT = key_BHTC.transpose(-1, -2)
    score_BHTT = (query_BHTC * C**-0.5) @ key_BHCT
    score_BHTT = score_BHTT + mask_B11T
    return score_BHTT.softmax(-1) @ value_BHTC


def rotary_angles(T: int, C: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines (T, C/2) of the rotary embedding, base 10000 (Su et al. 2021, Eq. 15).

    >>> cos_TC, sin_TC = rotary_angles(3, 8, torch.device("cpu"))
    >>> cos_TC.shape, sin_TC[0].tolist()
    (torch.Size([3, 4]), [0.0, 0.0, 0.0, 0.0])
    """
    # In float32: in half precision far frames would share their angles.
    frame_T = torch.arange(T, device=device).float()
    channel_C = torch.arange(0, C, 2, device=device).float()
    exponent_C = -channel_C / C
    frequency_C = 10000.0**exponent_C
    angle_TC = frame_T[:, None] * frequency_C
    return angle_TC.cos(), angle_TC.sin()


def rotate(x_BHTC: torch.Tensor, cos_TC: torch.Tensor, sin_TC: torch.Tensor) -> torch.Tensor:
    """Turn each pair of channels (c, c + C/2) by its angle.

    >>> quarter = torch.tensor([[0.0]]), torch.tensor([[1.0]])
    >>> rotate(torch.tensor([[[[1.0, 0.0]]]]), *quarter).tolist()
    [[[[0.0, 1.0]]]]
    """
    # Angles are float32; the product shall stay in the type of its input.
    dtype = x_BHTC.dtype
    cos_TC = cos_TC.to(dtype)
    sin_TC = sin_TC.to(dtype)
    first, second = x_BHTC.chunk(2, dim=-1)
    turned = (
        first * cos_TC - second * sin_TC,
        first * sin_TC + second * cos_TC,
    )
    return torch.cat(turned, dim=-1)


class ConvModule(nn.Module):
    """Gated depthwise convolution over time (Gulati et al. 2020, Conformer, without batch norm).

    >>> conv = ConvModule(width=8, kernel=3)
    >>> conv(torch.randn(1, 5, 8), valid_frames(torch.tensor([5]), 5)).shape
    torch.Size([1, 5, 8])
    """

    def __init__(self, width: int, kernel: int):
        super().__init__()
        self.gate = nn.Linear(width, 2 * width)
        # So scaled, the sum over the kernel keeps the variance of its input.
        scale = kernel**-0.5
        weight_KD = torch.randn(kernel, width) * scale
        self.depthwise_KD = nn.Parameter(weight_KD)
        self.out = nn.Linear(width, width)

    def forward(self, x_BTD: torch.Tensor, valid_BT: torch.Tensor) -> torch.Tensor:
        """Frames (B, T, D) mixed with their neighbours."""
        gated_BTD = F.glu(self.gate(x_BTD), dim=-1)
        # Padding is zeroed before the convolution, so that it cannot leak into real frames.
        gated_BTD = gated_BTD * valid_BT[..., None]
        mixed_BTD = depthwise_conv(gated_BTD, self.depthwise_KD)
        return self.out(F.silu(mixed_BTD))


def depthwise_conv(x_BTD: torch.Tensor, weight_KD: torch.Tensor) -> torch.Tensor:
    """Depthwise convolution (B, T, D) with zero padding; K is odd.

    >>> depthwise_conv(torch.tensor([[[1.0], [2.0], [3.0]]]), torch.tensor([[0.0], [0.0], [1.0]]))
    tensor([[[2.],
             [3.],
             [0.]]])
    """
    K = len(weight_KD)
    T = x_BTD.shape[1]
    half = K // 2
    padded_BTD = F.pad(x_BTD, (0, 0, half, half))
    first_D, *rest = weight_KD.to(x_BTD.dtype)

    # A sum of shifted products: for short kernels that is three times faster on a CPU than `conv1d`
    # with its two transposes.
    y_BTD = padded_BTD[:, :T] * first_D
    for shift, weight_D in enumerate(rest, start=1):
        shifted_BTD = padded_BTD.narrow(1, shift, T)
        y_BTD = torch.addcmul(y_BTD, shifted_BTD, weight_D)
    return y_BTD


class FeedForward(nn.Module):
    """Two linear layers with GELU between them.

    >>> FeedForward(width=8, ffn_width=32)(torch.randn(2, 5, 8)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, width: int, ffn_width: int):
        super().__init__()
        self.w1 = nn.Linear(width, ffn_width)
        self.w2 = nn.Linear(ffn_width, width)

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        """Each frame on its own, (B, T, D)."""
        inner_BTH = F.gelu(self.w1(x_BTD))
        return self.w2(inner_BTH)


class Mixer(nn.Module):
    """What mixes frames over time in a block: attention and, with `conv_kernel` > 0, a convolution.

    >>> mixer = Mixer(8, SelfAttention(8, 2), conv_kernel=3)
    >>> mixer(torch.randn(1, 5, 8), valid_frames(torch.tensor([5]), 5)).shape
    torch.Size([1, 5, 8])
    """

    def __init__(self, width: int, attention: nn.Module, conv_kernel: int):
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = attention
        self.conv_norm: nn.LayerNorm | None = None
        self.conv: ConvModule | None = None
        if conv_kernel:
            self.conv_norm = nn.LayerNorm(width)
            self.conv = ConvModule(width, conv_kernel)

    def forward(self, x_BTD: torch.Tensor, valid_BT: torch.Tensor) -> torch.Tensor:
        """Both, each around a residual connection, (B, T, D)."""
        normed_BTD = self.attention_norm(x_BTD)
        seen_BTD = self.attention(normed_BTD, valid_BT)
        return self.convolve(x_BTD + seen_BTD, valid_BT)

    def convolve(self, x_BTD: torch.Tensor, valid_BT: torch.Tensor) -> torch.Tensor:
        """The convolution around its residual connection; the input itself where there is none."""
        if self.conv is None or self.conv_norm is None:
            return x_BTD
        normed_BTD = self.conv_norm(x_BTD)
        mixed_BTD = self.conv(normed_BTD, valid_BT)
        return x_BTD + mixed_BTD


def count_parameters(module: nn.Module) -> int:
    """Parameters of a module.

    >>> count_parameters(FeedForward(width=8, ffn_width=32))
    552
    """
    return sum(parameter.numel() for parameter in module.parameters())


def zero_with_gradient(module: nn.Module) -> torch.Tensor:
    """A zero to add to where a module would have been used; its parameters get gradients of zero.

    So each has a gradient in every step, as data-parallel training demands, and an optimizer's
    moments decay, as they do for any other gradient of zero.

    >>> layer = nn.Linear(2, 3)
    >>> (1 + zero_with_gradient(layer)).backward()
    >>> layer.bias.grad
    tensor([0., 0., 0.])
    """
    zero = torch.zeros(())
    for parameter in module.parameters():
        # Frozen ones have no gradient to wait for.
        if parameter.requires_grad:
            zero = zero + 0 * parameter.sum()
    return zero


def row_numbers(x: torch.Tensor) -> torch.Tensor:
    """The number of each row, (B, 1), to pick by `x[row_numbers(i_BK), i_BK]`.

    >>> x_BH, i_BK = torch.tensor([[4, 5], [6, 7]]), torch.tensor([[1, 1, 0], [0, 1, 0]])
    >>> x_BH[row_numbers(i_BK), i_BK].tolist()
    [[5, 5, 4], [6, 7, 6]]
    """
    return torch.arange(len(x), device=x.device)[:, None]


def valid_frames(lengths_B: torch.Tensor, num_frames: int) -> torch.Tensor:
    """Boolean mask (B, T), True on the first `lengths_B[b]` frames of row b.

    >>> valid_frames(torch.tensor([3, 1]), 3).int()
    tensor([[1, 1, 1],
            [1, 0, 0]], dtype=torch.int32)
    """
    device = lengths_B.device
    frame_T = torch.arange(num_frames, device=device)
    return frame_T < lengths_B[:, None]
