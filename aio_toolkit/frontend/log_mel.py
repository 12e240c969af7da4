"""Logarithms of mel energies: they tell words well, but have no phase. Letters: `frontend.base`."""

from dataclasses import dataclass
from typing import override

import torch
import torch.nn.functional as F

from aio_toolkit.errors import AioError
from aio_toolkit.frames import FrameGrid
from aio_toolkit.frontend.base import FrontEnd
from aio_toolkit.levels import at_unit_level
from aio_toolkit.ranges import bounded

# Digital silence has a logarithm too: energies of waves of unit level get this much more.
FLOOR = 1e-6


class LogMel(FrontEnd):
    """Natural log of mel energies; the sub-frames of a frame stand side by side.

    >>> log_mel = LogMel(LogMel.Config(num_mels=40), FrameGrid(16000, 320))
    >>> log_mel(torch.randn(1, 900), torch.tensor([900])).shape
    torch.Size([1, 3, 80])
    """

    @dataclass
    class Config(FrontEnd.Config):
        """Windows and bands.

        Attributes:
            num_mels: mel bands.
            subframes: windows in a frame; must divide its samples.
            window: length of a window in sub-frames: 2.5 of 10 ms are 25 ms.
        """

        num_mels: int = bounded(80, least=1)
        subframes: int = bounded(2, least=1)
        window: float = bounded(2.5, least=1)

    def __init__(self, config: Config, grid: FrameGrid):
        """Prepare the filters.

        Raises:
            AioError: the sub-frames do not divide the frame.
        """
        super().__init__(config, grid)
        from torchaudio.transforms import MelSpectrogram

        if config.subframes < 1 or grid.hop % config.subframes:
            problem = f"{config.subframes} sub-frames do not divide a frame of {grid.hop} samples"
            raise AioError(f"front end log_mel: {problem}. Give a divisor.")
        step = grid.hop // config.subframes
        window = round(config.window * step)
        # The next power of two, for which the Fourier transform is fastest.
        n_fft = 1 << (max(window, step) - 1).bit_length()
        self.margin = n_fft - step
        # center=False: the padding below puts the windows of a frame over its own samples.
        self.mel = MelSpectrogram(
            grid.sample_rate,
            n_fft=n_fft,
            win_length=window,
            hop_length=step,
            n_mels=config.num_mels,
            center=False,
        )
        # They follow from the options: a checkpoint has no use for them.
        for module in self.mel.modules():
            module._non_persistent_buffers_set.update(module._buffers)
        self.num_features = config.num_mels * config.subframes

    @override
    def features(self, wave_BS: torch.Tensor, samples_B: torch.Tensor) -> torch.Tensor:
        """Features (B, T, num_mels * subframes) of waves of unit level."""
        B, S = wave_BS.shape
        T = self.grid.num_frames(S)
        left = self.margin // 2
        right = T * self.grid.hop - S + self.margin - left
        padded_BS = F.pad(at_unit_level(wave_BS, samples_B), (left, right))
        energy_BFK = self.mel(padded_BS)
        log_BFK = (energy_BFK + FLOOR).log()
        return log_BFK.transpose(1, 2).reshape(B, T, -1)
