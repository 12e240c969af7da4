"""Features of waves, computed once in stage 2 and read from disk ever after.

Letters: B batch, S samples, W windows, T frames, F feature bins, C codec latent channels.
"""

import dataclasses
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from aio_toolkit.codec.base import Codec, Encoded
from aio_toolkit.errors import AioError


@dataclass(frozen=True)
class FrontEndFingerprint:
    """What tells one front end from another; it stands beside features and in checkpoints.

    Attributes:
        log_mel: whether features have log-mel energies.
        codec_latents: whether they have the codec's latents.
        num_mels: mel bands.
        window_ms: analysis window.
        hop_ms: step between windows.
        hop: samples of a frame.
        codec_sha256: hash of the codec's weights; None if its latents are not among the features.
    """

    log_mel: bool
    codec_latents: bool
    num_mels: int
    window_ms: float
    hop_ms: float
    hop: int
    codec_sha256: str | None = None

    def num_latents(self, latent_dim: int) -> int:
        """How many feature bins are latents of a codec with so many channels: all or none.

        >>> FrontEndFingerprint(True, False, 80, 25.0, 10.0, 320).num_latents(64)
        0
        """
        return latent_dim if self.codec_latents else 0


class FrontEnd:
    """Features at the codec's frame rate: log-mel energies, then the codec's latents.

    >>> from types import SimpleNamespace
    >>> codec = SimpleNamespace(sample_rate=16000, hop=320)
    >>> front_end = FrontEnd(FrontEnd.Config(codec_latents=False, num_mels=40), codec)
    >>> encoded = Encoded(torch.zeros(1, 3, 2), torch.zeros(1, 3, 6))
    >>> front_end(torch.zeros(1, 900), encoded).shape
    torch.Size([1, 3, 80])
    """

    @dataclass
    class Config:
        """What the frozen encoder hears.

        Attributes:
            log_mel: log-mel energies, which tell words well but have no phase.
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

    def __init__(self, config: Config, codec: Codec):
        """Prepare the features that `config` asks for.

        Raises:
            AioError: it asks for none, or for a step that does not divide the codec's frame.
        """
        if not (config.log_mel or config.codec_latents):
            raise AioError("front end has no features: set log_mel or codec_latents to true.")
        self.config = config
        self.hop = codec.hop
        codec_sha256 = codec.fingerprint.weights_sha256 if config.codec_latents else None
        self.fingerprint = FrontEndFingerprint(
            **dataclasses.asdict(config), hop=codec.hop, codec_sha256=codec_sha256
        )
        if config.log_mel:
            self._log_mel = LogMel(config, codec.sample_rate, codec.hop)

    def __call__(self, wave_BS: torch.Tensor, encoded: Encoded) -> torch.Tensor:
        """Features (B, T, F), T = ceil(S / hop), of waves and what the codec made of them."""
        features = []
        if self.config.log_mel:
            features.append(self._log_mel(wave_BS))
        # Latents stand last: `split_features` relies on it.
        if self.config.codec_latents:
            features.append(encoded.latents_BTC)
        return torch.cat(features, dim=-1)


def split_features(feats: torch.Tensor, num_latents: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The log-mel energies and the latents among features, as views.

    Args:
        feats: features (..., F), or what belongs to each bin, such as their means (F,).
        num_latents: latents among the bins, see `FrontEndFingerprint.num_latents`.

    >>> split_features(torch.arange(5), num_latents=2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    """
    num_mel = feats.shape[-1] - num_latents
    return feats[..., :num_mel], feats[..., num_mel:]


class LogMel:
    """Natural log of mel energies; the windows within a codec frame stand side by side.

    >>> LogMel(FrontEnd.Config(num_mels=40), sample_rate=16000, hop=320)(torch.zeros(1, 900)).shape
    torch.Size([1, 3, 80])
    """

    def __init__(self, config: FrontEnd.Config, sample_rate: int, hop: int):
        """Prepare the filters.

        Args:
            config: windows and bands.
            sample_rate: Hz.
            hop: samples of a codec frame.

        Raises:
            AioError: the step between windows does not divide `hop`.
        """
        from torchaudio.transforms import MelSpectrogram

        step = round(sample_rate * config.hop_ms / 1000)
        if hop % step:
            raise AioError(
                f"hop_ms {config.hop_ms} ({step} samples) does not divide the codec's hop of "
                f"{hop} samples."
            )
        self.step, self.hop = step, hop
        window = round(sample_rate * config.window_ms / 1000)
        # The next power of two, for which the Fourier transform is fastest.
        n_fft = 1 << (window - 1).bit_length()
        self.margin = n_fft - step
        # center=False: the padding in __call__ puts the windows of a frame over its own samples.
        self.mel = MelSpectrogram(
            sample_rate,
            n_fft=n_fft,
            win_length=window,
            hop_length=step,
            n_mels=config.num_mels,
            center=False,
        )

    def __call__(self, wave_BS: torch.Tensor) -> torch.Tensor:
        """Features (B, ceil(S / hop), num_mels * hop / step)."""
        B, S = wave_BS.shape
        frames = -(-S // self.hop)
        left = self.margin // 2
        right = frames * self.hop - S + self.margin - left
        padded_BS = F.pad(wave_BS, (left, right))
        energy_BFW = self.mel(padded_BS)
        # Digital silence has a logarithm too.
        log_BFW = (energy_BFW + 1e-6).log()
        log_BWF = log_BFW.transpose(1, 2)
        return log_BWF.reshape(B, frames, -1)
