"""The spectrum itself, compressed: what masks need to know. Letters: see `frontend.base`."""

from dataclasses import dataclass
from typing import override

import torch

from aio_toolkit.frames import FrameGrid
from aio_toolkit.frontend.base import FrontEnd
from aio_toolkit.levels import at_unit_level
from aio_toolkit.ranges import bounded
from aio_toolkit.stft import SubframeStft


class Spectrum(FrontEnd):
    """Magnitudes to a power, with or without their phase; the sub-frames stand side by side.

    >>> spectrum = Spectrum(Spectrum.Config(), FrameGrid(16000, 320))
    >>> spectrum(torch.randn(1, 900), torch.tensor([900])).shape
    torch.Size([1, 3, 1028])
    """

    @dataclass
    class Config(FrontEnd.Config):
        """Windows and compression.

        Attributes:
            subframes: windows in a frame; must divide its samples.
            window: length of a window in sub-frames: 3.2 of 160 samples are 512.
            power: exponent of the magnitudes; small ones bring quiet bins up.
            phase: real and imaginary parts of the compressed spectrum; false: magnitudes alone,
                half as many.
        """

        subframes: int = bounded(2, least=1)
        window: float = bounded(3.2, least=1)
        power: float = bounded(0.3, above=0)
        phase: bool = True

    def __init__(self, config: Config, grid: FrameGrid):
        """Prepare the transform; AioError where windows do not fit the frame."""
        super().__init__(config, grid)
        self.config = config
        self.stft = SubframeStft(grid.hop, config.subframes, config.window)
        num_parts = 2 if config.phase else 1
        self.num_features = config.subframes * self.stft.num_frequencies * num_parts

    @override
    def features(self, wave_BS: torch.Tensor, samples_B: torch.Tensor) -> torch.Tensor:
        """Features (B, T, F) of waves of unit level."""
        spectrum_BKF = self.stft(at_unit_level(wave_BS, samples_B))
        magnitude_BKF = spectrum_BKF.abs()
        compressed_BKF = magnitude_BKF**self.config.power
        if self.config.phase:
            # A bin of silence has no phase to keep.
            unit_BKF = spectrum_BKF / magnitude_BKF.clamp_min(1e-8)
            parts_BKFP = torch.view_as_real(compressed_BKF * unit_BKF)
            compressed_BKF = parts_BKFP.flatten(2)
        return compressed_BKF.reshape(len(wave_BS), -1, self.num_features)
