"""Front ends: waves to frames, computed once in stage 2 and read from disk ever after.

Letters used here: B batch, S samples, T frames, F feature bins, C codec latent channels.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from aio_toolkit.codec.base import Codec, Encoded
from aio_toolkit.errors import AioError


@dataclass
class FrontEndConfig:
    """What the frozen encoder hears.

    Attributes:
        log_mel: log-mel energies, which say words well but have no phase.
        codec_latents: the codec's continuous latents, which have it.
        num_mels: mel bands.
        window_ms: analysis window.
        hop_ms: step between windows; the windows of one codec frame are stacked.
    """

    log_mel: bool = True
    codec_latents: bool = True
    num_mels: int = 80
    window_ms: float = 25.0
    hop_ms: float = 10.0


class FrontEnd:
    """Features at the codec's frame rate: stacked log-mel windows joined with codec latents."""

    def __init__(self, config: FrontEndConfig, codec: Codec):
        if not (config.log_mel or config.codec_latents):
            raise AioError("front end has no features: set log_mel or codec_latents to true.")
        self.config = config
        self.hop = codec.hop
        self.fingerprint: dict[str, Any] = {**dataclasses.asdict(config), "hop": codec.hop}
        if config.codec_latents:
            self.fingerprint["codec_sha256"] = codec.fingerprint["weights_sha256"]
        if config.log_mel:
            self._log_mel = LogMel(config, codec.sample_rate, codec.hop)

    def __call__(self, wave_BS: torch.Tensor, encoded: Encoded) -> torch.Tensor:
        """Features (B, T, F), T = ceil(S / hop), of waves and what the codec made of them."""
        parts = []
        if self.config.log_mel:
            parts.append(self._log_mel(wave_BS))
        if self.config.codec_latents:
            parts.append(encoded.latents_BTC)
        return torch.cat(parts, dim=-1)


class LogMel:
    """Natural log of mel energies; the windows within one codec frame stand side by side in its features."""

    def __init__(self, config: FrontEndConfig, sample_rate: int, hop: int):
        from torchaudio.transforms import MelSpectrogram

        step = round(sample_rate * config.hop_ms / 1000)
        if hop % step:
            raise AioError(f"hop_ms {config.hop_ms} ({step} samples) does not divide the codec's hop of {hop} samples.")
        self.step, self.hop = step, hop
        window = round(sample_rate * config.window_ms / 1000)
        n_fft = 1 << (window - 1).bit_length()
        # center=False: the padding in __call__ puts the windows of a frame over its own samples.
        self.margin = n_fft - step
        self.mel = MelSpectrogram(
            sample_rate, n_fft=n_fft, win_length=window, hop_length=step, n_mels=config.num_mels, center=False
        )

    def __call__(self, wave_BS: torch.Tensor) -> torch.Tensor:
        """Features (B, ceil(S / hop), num_mels * hop / step)."""
        B, S = wave_BS.shape
        frames = -(-S // self.hop)
        left = self.margin // 2
        padded_BS = F.pad(wave_BS, (left, frames * self.hop - S + self.margin - left))
        energy_BFT = self.mel(padded_BS)
        return (energy_BFT + 1e-6).log().transpose(1, 2).reshape(B, frames, -1)
