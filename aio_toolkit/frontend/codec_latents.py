"""The continuous latents of a frozen codec. Letters: see `frontend.base`; C latent channels."""

import functools
from dataclasses import dataclass
from typing import override

import torch

from aio_toolkit.codec.base import Codec, load_codec
from aio_toolkit.errors import AioError
from aio_toolkit.frames import FrameGrid
from aio_toolkit.frontend.base import FrontEnd


class CodecLatents(FrontEnd):
    """What the codec's encoder makes of the wave, before quantization.

    The head path `latent` needs them of the mixture. They cost more than all other front ends.

    >>> config = CodecLatents.Config(codec="egs/mini_aio/codec")
    >>> CodecLatents(config, FrameGrid(16000, 320))(torch.zeros(1, 900), torch.tensor([900])).shape
    torch.Size([1, 3, 256])
    """

    @dataclass
    class Config(FrontEnd.Config):
        """Which codec.

        Attributes:
            codec: folder, file or name of the codec, that of the recipe.
        """

        codec: str = "exp/codec"

    def __init__(self, config: Config, grid: FrameGrid):
        """Load the codec.

        Raises:
            AioError: there is none, or its frames are not those of the recipe.
        """
        super().__init__(config, grid)
        self.codec = config.codec
        fingerprint = _load(config.codec, "cpu").fingerprint
        if fingerprint.grid != grid:
            problem = f"{config.codec} has frames of {fingerprint.hop} samples at "
            problem += f"{fingerprint.sample_rate} Hz, the model has {grid.hop} at "
            problem += f"{grid.sample_rate} Hz"
            raise AioError(f"front end codec_latents: {problem}. Give the recipe's own codec.")
        self.num_features = fingerprint.latent_dim

    @override
    def features(self, wave_BS: torch.Tensor, samples_B: torch.Tensor) -> torch.Tensor:
        """Latents (B, T, C), at the wave's own level: the codec knows no other."""
        codec = _load(self.codec, str(wave_BS.device))
        # A batch without padding needs no lengths, without which the codec is faster.
        lengths_B = None if bool((samples_B == wave_BS.shape[1]).all()) else samples_B
        return codec.encode(wave_BS, lengths_B).latents_BTC


@functools.cache
def _load(codec: str, device: str) -> Codec:
    """One codec a process and device; no part of the model's weights."""
    return load_codec(codec, device=device)
