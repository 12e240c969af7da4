"""The contract of a codec, and the fingerprint that travels with its codes.

Letters used in this folder: B batch, S samples, T frames, Q codebooks, V codebook size, C latent
channels.
"""

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import torch

from aio_toolkit.errors import AioError
from aio_toolkit.frames import FrameGrid

# The file of a codec's folder that says of what kind it is, and how its network is built.
ARCHITECTURE = "architecture.yaml"
# The kind of folders that do not say: they are older than the second kind.
DEFAULT_KIND = "dac"
KIND_OF_SUFFIX = {".pth": "dac"}
# How to keep what was made with another codec.
NEW_FOLDERS = "run the stages from 2 on in new folders (--dumpdir, --expdir)"


@dataclass(frozen=True)
class CodecFingerprint:
    """What tells one codec from another; it stands beside codes and in checkpoints.

    Attributes:
        name: what it is called.
        weights_sha256: hash of its weights' file.
        sample_rate: Hz.
        hop: samples of a frame.
        num_codebooks: codebooks Q.
        codebook_size: codes V in each.
        latent_dim: channels C of the latents.

    >>> CodecFingerprint("tiny", "0", 16000, 320, 2, 16, 8).grid.frame_rate
    50.0
    """

    name: str
    weights_sha256: str
    sample_rate: int
    hop: int
    num_codebooks: int
    codebook_size: int
    latent_dim: int

    @property
    def grid(self) -> FrameGrid:
        """The frames of its codes."""
        return FrameGrid(self.sample_rate, self.hop)


@dataclass
class Encoded:
    """What a codec makes of waves.

    Attributes:
        codes_BTQ: int64 codes, T = ceil(S / hop).
        latents_BTC: the continuous latents before quantization.
    """

    codes_BTQ: torch.Tensor
    latents_BTC: torch.Tensor


class Codec(ABC):
    """A frozen neural audio codec with residual codebooks: encoding and decoding, not training.

    A row of a padded batch gives what it would give alone; what comes out beyond its end has no
    meaning. Leading codebooks are a codec of their own: coarser codes of the same wave.
    """

    @classmethod
    @abstractmethod
    def load(cls, where: Path | str, precision: str = "float32", device: str = "cpu") -> "Codec":
        """Load a codec from a folder, a file or a name that it knows.

        Args:
            where: as `load_codec` takes it.
            precision: `float32`, or `bfloat16` for the encoder.
            device: `cpu` or `cuda`.

        Raises:
            AioError: nothing is there, or it is not a codec of this kind.
        """

    @property
    @abstractmethod
    def fingerprint(self) -> CodecFingerprint:
        """Identity and sizes."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where it computes."""

    @property
    def sample_rate(self) -> int:
        """Hz of its waves."""
        return self.fingerprint.sample_rate

    @property
    def hop(self) -> int:
        """Samples of a frame."""
        return self.fingerprint.hop

    @abstractmethod
    def encode(
        self,
        wave_BS: torch.Tensor,
        lengths_B: torch.Tensor | None = None,
        num_codebooks: int | None = None,
    ) -> Encoded:
        """Codes and latents of mono waves; zeros complete the last frame.

        Args:
            wave_BS: S samples, at least one, at the codec's rate, in [-1, 1].
            lengths_B: samples of each row where they differ.
            num_codebooks: how many leading codebooks to use; all by default.

        Raises:
            AioError: there are no samples.
        """

    @abstractmethod
    def quantize(self, latents_BTC: torch.Tensor, num_codebooks: int | None = None) -> torch.Tensor:
        """Codes (B, T, Q) of latents, of the leading codebooks where their number is given."""

    @abstractmethod
    def decode(
        self, codes_BTQ: torch.Tensor, lengths_B: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Waves (B, T * hop) of the leading codebooks' codes; `lengths_B` in frames."""

    @abstractmethod
    def decode_latents(
        self, latents_BTC: torch.Tensor, lengths_B: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Waves (B, T * hop) of quantized or expected latents; `lengths_B` in frames."""

    @abstractmethod
    def codebook_embeddings(self) -> torch.Tensor:
        """Vector (Q, V, C) of every code: a latent is the sum of one row of each codebook."""

    @abstractmethod
    def silence_codes(self) -> torch.Tensor:
        """Codes (Q,) of digital silence, away from the edges."""


def load_codec(where: Path | str, precision: str = "float32", device: str = "cpu") -> Codec:
    """Load a codec of whatever kind.

    Args:
        where: a folder whose `architecture.yaml` names its `kind`, or `<kind>-<name>`, such as
            `dac-16khz`, or a file that a kind reads (`.pth`: `dac`).
        precision: `float32`, or `bfloat16` for the encoder.
        device: `cpu` or `cuda`.

    Raises:
        AioError: nothing is there, or the kind is unknown.

    >>> codec = load_codec("egs/mini_aio/codec")
    >>> codec.encode(torch.zeros(1, 640)).codes_BTQ.shape
    torch.Size([1, 2, 32])
    """
    from aio_toolkit import parts

    return parts.find(Codec, _kind_of(Path(where))).load(where, precision, device)


def _kind_of(where: Path) -> str:
    """The kind of codec that a folder, a file or a name stands for."""
    from aio_toolkit import parts
    from aio_toolkit.config import read_yaml

    architecture = where / ARCHITECTURE
    if architecture.is_file():
        kind = str(read_yaml(architecture).get("kind", DEFAULT_KIND))
        try:
            parts.locate("codec", kind)
        except AioError as error:
            raise AioError(f"{architecture}: {error}") from None
        return kind

    if where.suffix in KIND_OF_SUFFIX:
        return KIND_OF_SUFFIX[where.suffix]

    kind, hyphen, _ = str(where).partition("-")
    if hyphen and kind in parts.kinds("codec"):
        return kind
    # Nothing is there: the default kind says how to get one of its own.
    return DEFAULT_KIND


def check_same(
    expected: object,
    found: object,
    what: str,
    remedy: str = f"Use the matching one, or {NEW_FOLDERS}",
) -> None:
    """Refuse to mix codecs or front ends, whose fingerprints are dataclasses of one type.

    Args:
        expected: the fingerprint that is asked for.
        found: the one that is there.
        what: opens the message.
        remedy: ends it.

    Raises:
        AioError: the fingerprints differ; the message names the first difference.

    >>> tiny = CodecFingerprint("tiny", "0", 16000, 320, 2, 16, 8)
    >>> check_same(tiny, dataclasses.replace(tiny, hop=640), "codes")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    aio_toolkit.errors.AioError: codes: made for another one (hop is 640, expected 320). ...
    """
    theirs = dataclasses.asdict(expected)  # type: ignore[call-overload]
    ours = dataclasses.asdict(found)  # type: ignore[call-overload]
    for key in theirs | ours:
        if theirs.get(key) != ours.get(key):
            raise AioError(
                f"{what}: made for another one ({key} is {ours.get(key)}, "
                f"expected {theirs.get(key)}). {remedy}."
            )
