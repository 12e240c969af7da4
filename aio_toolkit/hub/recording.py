"""What a model is asked about: a file, an array, a tensor, in as many channels as it has.

Letters: C channels, S samples, N sources.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aio_toolkit.data.audio import check_samples, read_channels
from aio_toolkit.data.resampling import resample
from aio_toolkit.errors import AioError

# What an array or tensor is called in messages and files.
UNNAMED = "recording"


@dataclass(frozen=True)
class Recording:
    """Audio as it came.

    Attributes:
        wave_CS: all channels, float32.
        rate: Hz.
        name: of the file, or `UNNAMED`.

    >>> recording = Recording(np.zeros((2, 441), np.float32), rate=44100)
    >>> recording.at(16000).shape, recording.back(torch.zeros(3, 2, 160), 16000).shape
    (torch.Size([2, 160]), (3, 2, 441))
    """

    wave_CS: np.ndarray
    rate: int
    name: str = UNNAMED

    def at(self, rate: int) -> torch.Tensor:
        """All channels (C, S) at a model's rate."""
        return torch.from_numpy(_resampled(self.wave_CS, self.rate, rate))

    def back(self, wave_NCS: torch.Tensor, rate: int) -> np.ndarray:
        """What a model made of it at its own rate, at the recording's rate and length (N, C, S)."""
        made_NCS = _resampled(wave_NCS.numpy(), rate, self.rate)
        num_samples = self.wave_CS.shape[-1]
        # Resampling there and back rounds the length up.
        return made_NCS[..., :num_samples]


def to_recording(x: Any, rate: int | None = None) -> Recording:
    """A recording of what a user has.

    Args:
        x: a path; or an array or tensor (S,) or (C, S), floats of full scale 1 or integers of their
            type's.
        rate: Hz of an array or tensor.

    Raises:
        AioError: a file cannot be read, or an array has no rate, no samples, another shape, or NaN.

    >>> to_recording(np.array([0, -16384], np.int16), rate=8000).wave_CS.tolist()
    [[0.0, -0.5]]
    """
    if isinstance(x, str | Path):
        samples_SC, file_rate = read_channels(str(x))
        return Recording(np.ascontiguousarray(samples_SC.T, np.float32), file_rate, Path(x).name)

    wave = x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else np.asarray(x)
    if rate is None:
        problem = "an array does not tell its sample rate"
        raise AioError(f"{UNNAMED}: {problem}. Give it: rate=16000.")
    if wave.ndim not in (1, 2):
        problem = f"the shape is {wave.shape}"
        raise AioError(f"{UNNAMED}: {problem}. Give (samples,) or (channels, samples).")
    if np.issubdtype(wave.dtype, np.integer):
        wave = wave / -float(np.iinfo(wave.dtype).min)
    wave_CS = np.atleast_2d(wave).astype(np.float32)
    check_samples(wave_CS.T, UNNAMED)
    return Recording(wave_CS, rate)


def _resampled(wave_XS: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Waves (..., S) at another rate."""
    if from_rate == to_rate:
        return wave_XS
    rows = wave_XS.reshape(-1, wave_XS.shape[-1])
    resampled = [resample(row_S, from_rate, to_rate) for row_S in rows]
    return np.stack(resampled).reshape(*wave_XS.shape[:-1], -1)
