"""Random crops of all waves of a data dir, for codec training."""

import numpy as np
import torch
from torch.utils.data import Dataset

from aio_toolkit.data.audio import read_audio
from aio_toolkit.data.datadir import Utterance

# Below this RMS a crop teaches nothing: SNR is undefined on silence.
AUDIBLE_RMS = 1e-3
TRIES = 8


class CropDataset(Dataset):
    """Item i is a crop drawn from the seed and i alone, so that a resumed run sees what it would have seen."""

    def __init__(self, utterances: list[Utterance], sample_rate: int, num_samples: int, seed: int, length: int):
        """`num_samples` of each crop; `length` items in all. Inputs and audio targets are drawn alike."""
        self.specs = [spec for u in utterances for spec in (u.wav, *u.targets.values())]
        self.sample_rate, self.num_samples = sample_rate, num_samples
        self.seed, self.length = seed, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> torch.Tensor:
        """A crop (S,); shorter waves are padded with zeros."""
        rng = np.random.default_rng([self.seed, index])
        for _ in range(TRIES):
            crop = self._draw(rng)
            if np.sqrt(np.mean(np.square(crop))) > AUDIBLE_RMS:
                break
        return torch.from_numpy(crop)

    def _draw(self, rng: np.random.Generator) -> np.ndarray:
        wave = read_audio(self.specs[rng.integers(len(self.specs))], self.sample_rate)
        start = rng.integers(max(0, len(wave) - self.num_samples) + 1)
        crop = wave[start : start + self.num_samples]
        return np.pad(crop, (0, self.num_samples - len(crop)))
