"""The Descript Audio Codec (Kumar et al. 2023), through the `dac` package."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import override

import torch
import torch.nn.functional as F
from torch import nn

from aio_toolkit.codec import dac_model
from aio_toolkit.codec.base import Codec, CodecFingerprint, Encoded
from aio_toolkit.codec.convolutions import context, fit_length, run_ragged
from aio_toolkit.codec.inference import prepare
from aio_toolkit.codec.strides import strides_for
from aio_toolkit.devices import pick_device
from aio_toolkit.errors import AioError
from aio_toolkit.extras import require
from aio_toolkit.files import sha256_file
from aio_toolkit.ranges import bounded

# Longer audio is coded in pieces of this length, which bounds memory; each is given as much around
# it as the network can hear, so that no seam is left.
PIECE_SECONDS = 60.0


class Dac(Codec):
    """A frozen DAC in evaluation mode, made fast by `codec.inference`.

    With `precision="bfloat16"` the encoder computes in bfloat16; the decoder never does.

    >>> from aio_toolkit.codec.dac_model import build_dac
    >>> small = Dac.Config(encoder_dim=4, latent_dim=8, decoder_dim=16, n_codebooks=2)
    >>> codec = Dac(build_dac(small), "small", weights_sha256="0")
    >>> encoded = codec.encode(torch.zeros(1, 700))
    >>> encoded.codes_BTQ.shape, encoded.latents_BTC.shape
    (torch.Size([1, 3, 2]), torch.Size([1, 3, 8]))
    >>> codec.decode(encoded.codes_BTQ).shape
    torch.Size([1, 960])
    """

    @dataclass
    class Config:
        """Architecture of a `dac.DAC`, with the package's names.

        Attributes:
            sample_rate: Hz.
            encoder_dim: channels of the encoder's first layer; each stride doubles them.
            encoder_rates: strides of the encoder; their product is the hop. Empty: those for about
                50 frames a second, see `codec.strides`.
            latent_dim: channels C of the latents.
            decoder_dim: channels of the decoder's first layer; each stride halves them.
            decoder_rates: strides of the decoder. Empty: those of the encoder in reverse.
            n_codebooks: codebooks Q.
            codebook_size: codes V in each.
            codebook_dim: channels in which the nearest code is looked up.
        """

        sample_rate: int = bounded(16000, least=1)
        encoder_dim: int = bounded(64, least=1)
        encoder_rates: list[int] = bounded([], least=1)
        latent_dim: int = bounded(1024, least=1)
        decoder_dim: int = bounded(1536, least=1)
        decoder_rates: list[int] = bounded([], least=1)
        n_codebooks: int = bounded(12, least=1)
        codebook_size: int = bounded(1024, least=2)
        codebook_dim: int = bounded(8, least=1)

        def resolved(self) -> "Dac.Config":
            """The same architecture with all strides filled in.

            Raises:
                AioError: no strides follow from the rate, or those of the decoder undo another hop.
            """
            encoder = list(self.encoder_rates) or strides_for(self.sample_rate)
            decoder = list(self.decoder_rates) or encoder[::-1]
            if math.prod(encoder) != math.prod(decoder):
                problem = f"decoder_rates {decoder} do not undo encoder_rates {encoder}"
                raise AioError(f"{problem}. Leave decoder_rates out, or make the products equal.")
            return dataclasses.replace(self, encoder_rates=encoder, decoder_rates=decoder)

        @property
        def hop(self) -> int:
            """Samples of a frame."""
            return math.prod(self.resolved().encoder_rates)

    def __init__(
        self,
        model: nn.Module,
        name: str,
        weights_sha256: str,
        precision: str = "float32",
        device: str = "cpu",
    ) -> None:
        """Take over a `dac.DAC`, which is changed in place.

        Args:
            model: the network.
            name: what the fingerprint calls it.
            weights_sha256: hash of its weights' file.
            precision: `float32`, or `bfloat16` for the encoder.
            device: `cpu` or `cuda`.
        """
        self.model = model.eval().requires_grad_(requires_grad=False).to(device)
        prepare(self.model)
        if precision == "bfloat16":
            self.model.encoder.bfloat16()
        self.encoder_dtype = next(self.model.encoder.parameters()).dtype
        self._device = torch.device(device)
        self._fingerprint = CodecFingerprint(
            name=name,
            weights_sha256=weights_sha256,
            sample_rate=int(model.sample_rate),
            hop=int(model.hop_length),
            num_codebooks=int(model.n_codebooks),
            codebook_size=int(model.codebook_size),
            latent_dim=int(model.latent_dim),
        )

    @classmethod
    @override
    def load(cls, where: Path | str, precision: str = "float32", device: str = "cpu") -> "Dac":
        """Load a codec trained here, or the package's own.

        Args:
            where: a folder that stage 2 wrote, a `.pth` file, or an official name (`dac-16khz`,
                `dac-24khz`, `dac-44khz`), fetched from the internet the first time.
            precision: `float32`, or `bfloat16` for the encoder.
            device: `cpu` or `cuda`.

        Raises:
            AioError: nothing is there, it is not a DAC, or the `dac` package is not installed.
        """
        require("codec")
        device = pick_device(device)
        path = Path(where)
        if str(where) in dac_model.OFFICIAL:
            name, weights = str(where), dac_model.download(str(where))
            # What the package fetches by itself is as good as the package.
            model = dac_model.read_checkpoint(weights, trust=True)
        elif path.suffix == ".pth":
            name, weights = path.stem, path
            model = dac_model.read_checkpoint(weights)
        else:
            name, weights = "dac-trained-here", path / dac_model.WEIGHTS
            model = dac_model.read_folder(path, cls.Config)
        return cls(model, name, sha256_file(weights), precision, device)

    @property
    @override
    def fingerprint(self) -> CodecFingerprint:
        """Name, hash of the weights, and the sizes of the network."""
        return self._fingerprint

    @property
    @override
    def device(self) -> torch.device:
        """Where the network is."""
        return self._device

    @override
    @torch.no_grad()
    def encode(
        self,
        wave_BS: torch.Tensor,
        lengths_B: torch.Tensor | None = None,
        num_codebooks: int | None = None,
    ) -> Encoded:
        """Codes and latents of mono waves; channels are coded as rows of a batch."""
        if wave_BS.shape[-1] == 0:
            raise AioError("audio of zero samples has no codes. Remove it from the data dir.")
        missing = -wave_BS.shape[-1] % self.hop
        padded_BS = F.pad(wave_BS, (0, missing))
        input_B1S = padded_BS[:, None].to(self.encoder_dtype)
        frames_B = None
        if lengths_B is not None:
            frames_B = -(-lengths_B // self.hop)

        latents_BCT = self._in_pieces(self.model.encoder, input_B1S, frames_B, self.hop, 1)
        latents_BTC = latents_BCT.float().transpose(1, 2)
        return Encoded(self.quantize(latents_BTC, num_codebooks), latents_BTC)

    @override
    @torch.no_grad()
    def quantize(self, latents_BTC: torch.Tensor, num_codebooks: int | None = None) -> torch.Tensor:
        """Codes (B, T, Q) of latents; each codebook quantizes what those before it leave."""
        _, codes_BQT, *_ = self.model.quantizer(latents_BTC.transpose(1, 2), num_codebooks)
        return codes_BQT.transpose(1, 2)

    @override
    @torch.no_grad()
    def decode(
        self, codes_BTQ: torch.Tensor, lengths_B: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Waves (B, T * hop) of the codes of any number of leading codebooks."""
        latents_BCT, *_ = self.model.quantizer.from_codes(codes_BTQ.transpose(1, 2))
        return self._to_wave(latents_BCT, lengths_B)

    @override
    @torch.no_grad()
    def decode_latents(
        self, latents_BTC: torch.Tensor, lengths_B: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Waves (B, T * hop) of latents, which need not be sums of codebook vectors."""
        return self._to_wave(latents_BTC.transpose(1, 2), lengths_B)

    @override
    @torch.no_grad()
    def codebook_embeddings(self) -> torch.Tensor:
        """Vector (Q, V, C) of every code, projected to the latents' channels."""
        projected = []
        for stage in self.model.quantizer.quantizers:
            codes_1KV = stage.codebook.weight.T[None]
            vectors_CV = stage.out_proj(codes_1KV)[0]
            projected.append(vectors_CV.T)
        return torch.stack(projected).clone()

    @override
    def silence_codes(self) -> torch.Tensor:
        """Codes (Q,) of a frame that hears nothing but zeros, not even an edge."""
        audible = 2 * context(self.model.encoder)
        frames = audible // self.hop + 1
        silence_1S = torch.zeros(1, frames * self.hop, device=self.device)
        codes_1TQ = self.encode(silence_1S).codes_BTQ
        return codes_1TQ[0, frames // 2]

    def _to_wave(self, latents_BCT: torch.Tensor, frames_B: torch.Tensor | None) -> torch.Tensor:
        wave_B1S = self._in_pieces(self.model.decoder, latents_BCT, frames_B, 1, self.hop)
        return wave_B1S[:, 0]

    def _in_pieces(
        self,
        network: nn.Module,
        x_BXS: torch.Tensor,
        frames_B: torch.Tensor | None,
        step: int,
        out_step: int,
    ) -> torch.Tensor:
        """Run encoder or decoder on all frames, a piece at a time.

        The result is that of one piece, except for the order of float additions (differences of
        1e-4 of the latents' RMS).

        Args:
            network: encoder or decoder.
            x_BXS: its input.
            frames_B: frames of each row where they differ.
            step: steps of the input in a frame.
            out_step: steps of the output in a frame.
        """
        total = x_BXS.shape[-1] // step
        piece = max(1, round(PIECE_SECONDS * self.sample_rate / self.hop))
        margin = -(-context(network) // step) + 1
        pieces = []
        for first in range(0, total, piece):
            # 1. Cut a window of the piece and its margins.
            last = min(first + piece, total)
            begin = max(0, first - margin)
            end = min(total, last + margin)
            window_BXS = x_BXS[..., begin * step : end * step]
            steps_B = None
            if frames_B is not None:
                left_B = frames_B - begin
                steps_B = left_B.clamp(0, end - begin) * step

            # 2. Run the network. Odd strides make the decoder a few samples short or long of a
            # whole number of hops.
            num_frames = end - begin
            out_BXS = run_ragged(network, window_BXS, steps_B)
            out_BXS = fit_length(out_BXS, num_frames * out_step)

            # 3. Cut the margins off.
            start, stop = first - begin, last - begin
            pieces.append(out_BXS[..., start * out_step : stop * out_step])
        return torch.cat(pieces, dim=-1)
