"""The Descript Audio Codec (Kumar et al. 2023) as a frozen tokenizer and decoder, through the `dac` package."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from aio_toolkit.codec.base import Encoded
from aio_toolkit.codec.convolutions import context, run_ragged
from aio_toolkit.codec.inference import prepare
from aio_toolkit.config import load_config, save_config
from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path, sha256_file

WEIGHTS = "codec.safetensors"
CONFIG = "architecture.yaml"
# Longer audio is coded in pieces of this length, each with as much around it as the network can hear.
PIECE_SECONDS = 60.0
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


def save_dac(directory: Path, model: torch.nn.Module, config: DacConfig, half: bool = False) -> None:
    """Write architecture and weights, `half` as float16; the weights come last and say that both are there."""
    from safetensors.torch import save_file

    save_config(config, directory / CONFIG)
    weights = {name: (value.half() if half else value).contiguous() for name, value in model.state_dict().items()}
    with atomic_path(directory / WEIGHTS) as temporary:
        save_file(weights, temporary)


class DacCodec:
    """Implements `codec.base.Codec`. Frozen, in evaluation mode, made fast by `codec.inference`.

    With `precision="bfloat16"` the encoder computes in bfloat16; the decoder never does.
    """

    def __init__(
        self, model: torch.nn.Module, name: str, weights_sha256: str, precision: str = "float32", device: str = "cpu"
    ):
        self.model = model.eval().requires_grad_(False).to(device)
        prepare(self.model)
        self.device = torch.device(device)
        if precision == "bfloat16":
            self.model.encoder.bfloat16()
        self.encoder_dtype = next(self.model.encoder.parameters()).dtype
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
    def load(cls, where: Path | str, precision: str = "float32", device: str = "cpu") -> "DacCodec":
        """Load a codec trained here (a folder), or official weights (`dac-16khz` and so on, or a `.pth` file).

        Official names are fetched by the `dac` package, which needs the internet the first time.

        Raises:
            AioError: nothing is there, or it is not a codec.
        """
        where = str(where)
        if device != "cpu" and not torch.cuda.is_available():
            raise AioError(f"device '{device}' asks for a GPU and torch sees none. Use cpu.")
        if where in OFFICIAL or where.endswith(".pth"):
            weights = _download(where) if where in OFFICIAL else Path(where)
            model, name = _read_official(weights), where if where in OFFICIAL else weights.stem
        else:
            weights = Path(where) / WEIGHTS
            model, name = _read_folder(Path(where)), "dac-trained-here"
        return cls(model, name, sha256_file(weights), precision, device)

    @torch.no_grad()
    def encode(
        self, wave_BS: torch.Tensor, lengths_B: torch.Tensor | None = None, num_codebooks: int | None = None
    ) -> Encoded:
        """Codes (B, T, Q) and latents (B, T, C), T = ceil(S / hop); the last frame is completed by zeros.

        Channels are coded as rows of a batch. Frames beyond ceil(length / hop) of a row have no meaning.

        Args:
            wave_BS: S samples at the codec's rate, at least one.
            lengths_B: samples of each row where they differ; each row's codes are those it has alone.
            num_codebooks: how many leading codebooks to use; all by default.

        Raises:
            AioError: no samples.
        """
        if wave_BS.shape[-1] == 0:
            raise AioError("audio of zero samples has no codes. Remove it from the data dir.")
        padded_B1S = F.pad(wave_BS, (0, -wave_BS.shape[-1] % self.hop))[:, None]
        frames_B = None if lengths_B is None else -(-lengths_B // self.hop)
        latents_BCT = self._in_pieces(self.model.encoder, padded_B1S.to(self.encoder_dtype), frames_B, self.hop, 1)
        latents_BTC = latents_BCT.float().transpose(1, 2)
        return Encoded(self.quantise(latents_BTC, num_codebooks), latents_BTC)

    @torch.no_grad()
    def quantise(self, latents_BTC: torch.Tensor, num_codebooks: int | None = None) -> torch.Tensor:
        """Codes (B, T, Q) of latents, of the leading codebooks where their number is given."""
        return self.model.quantizer(latents_BTC.transpose(1, 2), num_codebooks)[1].transpose(1, 2)

    @torch.no_grad()
    def decode(self, codes_BTQ: torch.Tensor, lengths_B: torch.Tensor | None = None) -> torch.Tensor:
        """Waves (B, T * hop) of the codes of any number of leading codebooks; `lengths_B` in frames."""
        return self._to_wave(self.model.quantizer.from_codes(codes_BTQ.transpose(1, 2))[0], lengths_B)

    @torch.no_grad()
    def decode_latents(self, latents_BTC: torch.Tensor, lengths_B: torch.Tensor | None = None) -> torch.Tensor:
        """Waves (B, T * hop) of quantised or expected latents; `lengths_B` in frames."""
        return self._to_wave(latents_BTC.transpose(1, 2), lengths_B)

    def _to_wave(self, latents_BCT: torch.Tensor, frames_B: torch.Tensor | None) -> torch.Tensor:
        return self._in_pieces(self.model.decoder, latents_BCT, frames_B, 1, self.hop)[:, 0]

    def _in_pieces(
        self, network: torch.nn.Module, x_BXS: torch.Tensor, frames_B: torch.Tensor | None, step: int, out_step: int
    ) -> torch.Tensor:
        """Run encoder or decoder on all frames; a frame is `step` steps of the input, `out_step` of the output.

        The same as in one piece but for the order of float additions (1e-4 of the latents' RMS).
        """
        total = x_BXS.shape[-1] // step
        piece = max(1, round(PIECE_SECONDS * self.sample_rate / self.hop))
        margin = -(-context(network) // step) + 1
        parts = []
        for first in range(0, total, piece):
            last = min(first + piece, total)
            begin, end = max(0, first - margin), min(total, last + margin)
            frames = None if frames_B is None else (frames_B - begin).clamp(0, end - begin)
            lengths_B = None if frames is None else frames * step
            part = run_ragged(network, x_BXS[..., begin * step : end * step], lengths_B)
            # Odd strides make the decoder a few samples short or long of a whole number of hops.
            part = fit_length(part, (end - begin) * out_step)
            parts.append(part[..., (first - begin) * out_step : (last - begin) * out_step])
        return torch.cat(parts, dim=-1)

    @torch.no_grad()
    def codebook_embeddings(self) -> torch.Tensor:
        """Latent contribution (Q, V, C) of every code: a latent is the sum of one row of each codebook."""
        quantizers = self.model.quantizer.quantizers
        return torch.stack([q.out_proj(q.codebook.weight.T[None])[0].T for q in quantizers]).clone()

    def silence_codes(self) -> torch.Tensor:
        """Codes (Q,) of digital silence, away from the edges."""
        frames = 2 * context(self.model.encoder) // self.hop + 1
        silence_1S = torch.zeros(1, frames * self.hop, device=self.device)
        return self.encode(silence_1S).codes_BTQ[0, frames // 2]


def _read_folder(directory: Path) -> torch.nn.Module:
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
    return model


def _read_official(weights: Path) -> torch.nn.Module:
    """The package's own checkpoint, which holds its architecture."""
    from dac.model.dac import DAC

    if not weights.is_file():
        raise AioError(f"codec weights {weights} do not exist.")
    try:
        return DAC.load(weights, strict=True)
    except Exception as error:  # whatever unpickling of a wrong or damaged file raises
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise AioError(f"{weights} is no checkpoint of the dac package: {reason}. Fetch it again.") from None


def _download(name: str) -> Path:
    import dac

    try:
        return Path(dac.utils.download(model_type=OFFICIAL[name]))
    except Exception as error:
        raise AioError(f"cannot fetch {name}: {error}. Download it elsewhere and give its .pth file.") from None


def fit_length(wave: torch.Tensor, num_samples: int) -> torch.Tensor:
    """Crop waves (..., S), or complete them with zeros, to `num_samples`."""
    return F.pad(wave, (0, max(0, num_samples - wave.shape[-1])))[..., :num_samples]
