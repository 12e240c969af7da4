"""The sub-layers of a Transformer block. Letters: B batch, T frames, D width, H heads, C width of a head."""

import torch
import torch.nn.functional as F
from torch import nn


class SelfAttention(nn.Module):
    """Multi-head self-attention with rotary positions (Su et al. 2021, RoFormer), both directions."""

    def __init__(self, width: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x_BTD: torch.Tensor, valid_BT: torch.Tensor) -> torch.Tensor:
        """Frames (B, T, D) mixed over time; padded frames are not attended to."""
        B, T, D = x_BTD.shape
        q, k, v = self.qkv(x_BTD).view(B, T, 3, self.num_heads, D // self.num_heads).permute(2, 0, 3, 1, 4)
        cos_TC, sin_TC = rotary_angles(T, D // self.num_heads, x_BTD.device)
        q, k = rotate(q, cos_TC, sin_TC), rotate(k, cos_TC, sin_TC)
        mixed_BHTC = attend(q, k, v, valid_BT)
        return self.out(mixed_BHTC.transpose(1, 2).reshape(B, T, D))


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, valid_BT: torch.Tensor) -> torch.Tensor:
    """Scaled dot-product attention over (B, H, T, C) that ignores padded keys.

    On a CPU two plain matrix products beat the fused kernel fourfold in bfloat16 at a hundred frames.
    """
    mask_B11T = torch.zeros_like(valid_BT, dtype=q.dtype).masked_fill(~valid_BT, torch.finfo(q.dtype).min)
    mask_B11T = mask_B11T[:, None, None, :]
    if q.is_cuda:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask_B11T)
    score_BHTT = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2) + mask_B11T
    return score_BHTT.softmax(-1) @ v


def rotary_angles(T: int, C: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines (T, C/2) of the rotary embedding, base 10000."""
    frequency = 10000.0 ** (-torch.arange(0, C, 2, device=device).float() / C)
    angle = torch.arange(T, device=device).float()[:, None] * frequency
    return angle.cos(), angle.sin()


def rotate(x_BHTC: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Turn each pair of channels (c, c + C/2) by its angle."""
    cos, sin = cos.to(x_BHTC.dtype), sin.to(x_BHTC.dtype)
    a, b = x_BHTC.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


class ConvModule(nn.Module):
    """Gated depthwise convolution over time (after Gulati et al. 2020, Conformer, without batch norm)."""

    def __init__(self, width: int, kernel: int):
        super().__init__()
        self.gate = nn.Linear(width, 2 * width)
        self.depthwise_KD = nn.Parameter(torch.randn(kernel, width) * kernel**-0.5)
        self.out = nn.Linear(width, width)

    def forward(self, x_BTD: torch.Tensor, valid_BT: torch.Tensor) -> torch.Tensor:
        """Frames (B, T, D) mixed with their neighbours."""
        # Padding is zeroed before the convolution, so that it cannot leak into the last real frames.
        x_BTD = F.glu(self.gate(x_BTD), dim=-1) * valid_BT[..., None]
        return self.out(F.silu(depthwise_conv(x_BTD, self.depthwise_KD)))


def depthwise_conv(x_BTD: torch.Tensor, weight_KD: torch.Tensor) -> torch.Tensor:
    """Depthwise convolution with zero padding, same length, as a sum of shifted products.

    For the short kernels used here this is three times faster on a CPU than `conv1d` with its two transposes.
    """
    K, T = len(weight_KD), x_BTD.shape[1]
    weight_KD = weight_KD.to(x_BTD.dtype)
    padded_BTD = F.pad(x_BTD, (0, 0, K // 2, K // 2))
    y_BTD = padded_BTD[:, :T] * weight_KD[0]
    for k in range(1, K):
        y_BTD = torch.addcmul(y_BTD, padded_BTD[:, k : k + T], weight_KD[k])
    return y_BTD


class FeedForward(nn.Module):
    """Two linear layers with GELU: the dense counterpart of a Mixture of Experts."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.w1 = nn.Linear(width, hidden)
        self.w2 = nn.Linear(hidden, width)

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        """Each frame on its own, (B, T, D)."""
        return self.w2(F.gelu(self.w1(x_BTD)))


class Mixer(nn.Module):
    """What moves information over time in a block: attention and, where `conv_kernel` > 0, a convolution."""

    def __init__(self, width: int, attention: nn.Module, conv_kernel: int):
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = attention
        self.conv_norm = nn.LayerNorm(width) if conv_kernel else None
        self.conv = ConvModule(width, conv_kernel) if conv_kernel else None

    def forward(self, x_BTD: torch.Tensor, valid_BT: torch.Tensor) -> torch.Tensor:
        """Both, each around a residual connection, (B, T, D)."""
        x_BTD = x_BTD + self.attention(self.attention_norm(x_BTD), valid_BT)
        return self.convolve(x_BTD, valid_BT)

    def convolve(self, x_BTD: torch.Tensor, valid_BT: torch.Tensor) -> torch.Tensor:
        """The convolution alone, where there is one."""
        if self.conv is None:
            return x_BTD
        return x_BTD + self.conv(self.conv_norm(x_BTD), valid_BT)
