"""The Descript Audio Codec (Kumar et al. 2023) as a frozen tokenizer and decoder, through the `dac` package."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from aio_toolkit.codec.base import Encoded
from aio_toolkit.config import load_config, save_config
from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path, sha256_file

WEIGHTS = "codec.safetensors"
CONFIG = "architecture.yaml"
OFFICIAL = {"dac-16khz": "16khz", "dac-24khz": "24khz", "dac-44khz": "44khz"}


@dataclass
class DacConfig:
    """Architecture of a `dac.DAC`.

    Attributes:
        sample_rate: Hz.
        encoder_dim: channels of the encoder's first layer; each stride doubles them.
        encoder_rates: strides of the encoder; their product is the hop.
        latent_dim: channels C of the latents.
        decoder_dim: channels of the decoder's first layer; each stride halves them.
        decoder_rates: strides of the decoder.
        n_codebooks: codebooks Q.
        codebook_size: codes V in each.
        codebook_dim: channels in which the nearest code is looked up.
    """

    sample_rate: int = 16000
    encoder_dim: int = 64
    encoder_rates: list[int] = field(default_factory=lambda: [2, 4, 5, 8])
    latent_dim: int = 1024
    decoder_dim: int = 1536
    decoder_rates: list[int] = field(default_factory=lambda: [8, 5, 4, 2])
    n_codebooks: int = 12
    codebook_size: int = 1024
    codebook_dim: int = 8


def build_dac(config: DacConfig) -> torch.nn.Module:
    """A `dac.DAC` with random weights."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the package uses the older weight norm
        from dac.model.dac import DAC

        return DAC(**dataclasses.asdict(config))


def save_dac(directory: Path, model: torch.nn.Module, config: DacConfig) -> None:
    """Write architecture and weights; the weights come last, so their presence says that both are there."""
    from safetensors.torch import save_file

    save_config(config, directory / CONFIG)
    with atomic_path(directory / WEIGHTS) as temporary:
        save_file({name: value.contiguous() for name, value in model.state_dict().items()}, temporary)


class DacCodec:
    """Implements `codec.base.Codec`. Frozen, in evaluation mode, weight norm folded into the weights."""

    def __init__(self, model: torch.nn.Module, name: str, weights_sha256: str):
        self.model = model.eval().requires_grad_(False)
        fold_weight_norm(self.model)
        self.sample_rate = int(model.sample_rate)
        self.hop = int(model.hop_length)
        self.fingerprint: dict[str, Any] = {
            "name": name,
            "weights_sha256": weights_sha256,
            "sample_rate": self.sample_rate,
            "hop": self.hop,
            "num_codebooks": int(model.n_codebooks),
            "codebook_size": int(model.codebook_size),
            "latent_dim": int(model.latent_dim),
        }

    @classmethod
    def load(cls, where: Path | str) -> "DacCodec":
        """Load a codec trained here (a folder), or official weights (`dac-16khz` and so on, or a `.pth` file).

        Official names are fetched by the `dac` package, which needs the internet the first time.

        Raises:
            AioError: nothing is there, or it is not a codec.
        """
        where = str(where)
        if where in OFFICIAL:
            return cls._load_official(cls._download(where), where)
        if where.endswith(".pth"):
            return cls._load_official(Path(where), Path(where).stem)
        return cls._load_folder(Path(where))

    @classmethod
    def _load_folder(cls, directory: Path) -> "DacCodec":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        weights = directory / WEIGHTS
        if not weights.is_file():
            raise AioError(
                f"{weights} does not exist. Train a codec (stage 2), or name one of {', '.join(OFFICIAL)} with --codec."
            )
        model = build_dac(load_config(DacConfig, directory / CONFIG))
        try:
            model.load_state_dict(load_file(weights))
        except (SafetensorError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise AioError(f"{weights} does not fit {directory / CONFIG}: {reason}. Train the codec again.") from None
        return cls(model, "dac-trained-here", sha256_file(weights))

    @classmethod
    def _load_official(cls, path: Path, name: str) -> "DacCodec":
        from dac.model.dac import DAC

        if not path.is_file():
            raise AioError(f"codec weights {path} do not exist.")
        return cls(DAC.load(path), name, sha256_file(path))

    @staticmethod
    def _download(name: str) -> Path:
        import dac

        try:
            return Path(dac.utils.download(model_type=OFFICIAL[name]))
        except Exception as error:
            raise AioError(f"cannot fetch {name}: {error}. Download it elsewhere and give its .pth file.") from None

    @torch.no_grad()
    def encode(self, wave_BS: torch.Tensor) -> Encoded:
        """Codes (B, T, Q) and latents (B, T, C), T = ceil(S / hop); the last frame is completed by zeros."""
        padded_B1S = F.pad(wave_BS, (0, -wave_BS.shape[-1] % self.hop))[:, None]
        latents_BCT = self.model.encoder(padded_B1S)
        codes_BQT = self.model.quantizer(latents_BCT)[1]
        return Encoded(codes_BQT.transpose(1, 2), latents_BCT.transpose(1, 2))

    @torch.no_grad()
    def decode(self, codes_BTQ: torch.Tensor) -> torch.Tensor:
        """Waves (B, T * hop) of codes."""
        return self._to_wave(self.model.quantizer.from_codes(codes_BTQ.transpose(1, 2))[0])

    @torch.no_grad()
    def decode_latents(self, latents_BTC: torch.Tensor) -> torch.Tensor:
        """Waves (B, T * hop) of quantised or expected latents."""
        return self._to_wave(latents_BTC.transpose(1, 2))

    def _to_wave(self, latents_BCT: torch.Tensor) -> torch.Tensor:
        wave_BS = self.model.decoder(latents_BCT)[:, 0]
        # Odd strides make the decoder a few samples short or long of a whole number of hops.
        return fit_length(wave_BS, latents_BCT.shape[-1] * self.hop)

    @torch.no_grad()
    def codebook_embeddings(self) -> torch.Tensor:
        """Latent contribution (Q, V, C) of every code: a latent is the sum of one row of each codebook."""
        quantizers = self.model.quantizer.quantizers
        return torch.stack([q.out_proj(q.codebook.weight.T[None])[0].T for q in quantizers]).clone()

    def silence_codes(self) -> torch.Tensor:
        """Codes (Q,) of digital silence, away from the edges."""
        frames = 65
        return self.encode(torch.zeros(1, frames * self.hop)).codes_BTQ[0, frames // 2]


def fit_length(wave_BS: torch.Tensor, num_samples: int) -> torch.Tensor:
    """Crop, or complete with zeros, to `num_samples`."""
    return F.pad(wave_BS, (0, max(0, num_samples - wave_BS.shape[-1])))[..., :num_samples]


def fold_weight_norm(model: torch.nn.Module) -> None:
    """Replace weight-normalised weights by their value: the same result without its cost at every call."""
    for module in model.modules():
        if hasattr(module, "weight_g"):
            torch.nn.utils.remove_weight_norm(module)
