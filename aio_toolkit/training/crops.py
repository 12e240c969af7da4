"""Random crops of all waves of a data dir, for codec training.

Letters: B batch, S samples, T frames, C latent channels, N frames of many crops.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import lightning
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from aio_toolkit.data.audio import read_span
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.parallel import check_shared_memory

if TYPE_CHECKING:
    from aio_toolkit.training.codec import CodecModule

# Below this RMS a crop teaches nothing: SNR is undefined on silence.
AUDIBLE_RMS = 1e-3
# A data dir of silence only must not be searched for ever.
TRIES = 8


class CropDataset(Dataset[torch.Tensor]):
    """Item i is a crop drawn from the seed and i alone: a resumed run sees what it would have seen.

    Inputs and waves among the answers are drawn alike.

    >>> from aio_toolkit.tasks import Task
    >>> spoken = Utterance("asr-1", Task("asr", "", "text", ("text",), ()), "ann", "a.wav", 16000)
    >>> len(CropDataset([spoken], sample_rate=16000, num_samples=8000, seed=0, length=12))
    12
    """

    def __init__(
        self,
        utterances: Sequence[Utterance],
        sample_rate: int,
        num_samples: int,
        seed: int,
        length: int,
    ) -> None:
        """Collect the waves.

        Args:
            utterances: those of a data dir.
            sample_rate: Hz of the crops.
            num_samples: S of each crop.
            seed: fixes what is drawn.
            length: items in all.
        """
        # The waves of an utterance are as long as its input.
        self.waves = [(spec, u) for u in utterances for spec in u.waves.values()]
        self.sample_rate, self.num_samples = sample_rate, num_samples
        self.seed, self.length = seed, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> torch.Tensor:
        """A crop (S,); shorter waves are padded with zeros."""
        rng = np.random.default_rng([self.seed, index])
        for _ in range(TRIES):
            crop_S = self._draw(rng)
            rms = np.sqrt(np.mean(np.square(crop_S)))
            if rms > AUDIBLE_RMS:
                break
        return torch.from_numpy(crop_S)

    def _draw(self, rng: np.random.Generator) -> np.ndarray:
        spec, utterance = self.waves[rng.integers(len(self.waves))]
        length = min(self.num_samples, utterance.num_samples)
        start = int(rng.integers(utterance.num_samples - length + 1))
        crop_S = read_span(spec, self.sample_rate, start, length, utterance.id)
        return np.pad(crop_S, (0, self.num_samples - length))


class CropBatches:
    """The crops of each batch of one process, from the batch at which training stands.

    The length stays that of the whole run, as Lightning expects.

    >>> batches = CropBatches(num_batches=3, size=2, rank=0, num_ranks=1, start=1)
    >>> len(batches), list(batches)
    (3, [range(2, 4), range(4, 6)])
    """

    def __init__(self, num_batches: int, size: int, rank: int, num_ranks: int, start: int) -> None:
        """Number the crops.

        Args:
            num_batches: batches of the whole run.
            size: crops in a batch.
            rank: number of this process; the processes take batches in turn.
            num_ranks: number of processes.
            start: batches that training has seen.
        """
        self.num_batches, self.size, self.start = num_batches, size, start
        self.rank, self.num_ranks = rank, num_ranks

    def __len__(self) -> int:
        return self.num_batches

    def __iter__(self) -> Iterator[range]:
        for index in range(self.start, self.num_batches):
            first = (index * self.num_ranks + self.rank) * self.size
            yield range(first, first + self.size)


class CropDataModule(lightning.LightningDataModule):
    """Crops in an order that the seed and the step number fix."""

    def __init__(
        self, config: "CodecModule.Config", train: list[Utterance], dev: list[Utterance]
    ) -> None:
        """Take the utterances to train on and those to validate on."""
        super().__init__()
        self.config = config
        self.train_utterances, self.dev_utterances = train, dev

    def train_dataloader(self) -> DataLoader[torch.Tensor]:
        """Crops from the step that training stands at."""
        trainer, config = self.trainer, self.config
        assert trainer is not None, "Lightning asks for batches when it has a trainer"
        num_batches = trainer.max_steps * trainer.accumulate_grad_batches
        batches = CropBatches(
            num_batches,
            config.batch_size,
            rank=trainer.global_rank,
            num_ranks=trainer.world_size,
            start=trainer.global_step * trainer.accumulate_grad_batches,
        )
        num_crops = num_batches * trainer.world_size * config.batch_size
        return self._loader(self.train_utterances, config.seed, num_crops, batches)

    def val_dataloader(self) -> DataLoader[torch.Tensor]:
        """The same crops at every validation."""
        config = self.config
        crops = range(config.dev_crops)
        starts = crops[:: config.batch_size]
        batches = [crops[start : start + config.batch_size] for start in starts]
        return self._loader(self.dev_utterances, config.seed + 1, len(crops), batches)

    def _loader(
        self, utterances: list[Utterance], seed: int, length: int, batches: Iterable[range]
    ) -> DataLoader[torch.Tensor]:
        if self.config.num_workers:
            check_shared_memory("num_workers=0")
        model = self.config.model
        frames = max(1, round(self.config.crop_seconds * model.sample_rate / model.hop))
        crops = CropDataset(utterances, model.sample_rate, frames * model.hop, seed, length)
        return DataLoader(
            crops,
            batch_sampler=batches,  # type: ignore[arg-type]
            num_workers=self.config.num_workers,
        )


def frames_of_crops(
    network: nn.Module,
    crops: CropDataset,
    num_batches: int,
    batch_size: int,
    device: torch.device,
) -> tuple[torch.Tensor, torch.Tensor]:
    """What a network makes of the first crops (N, C), and each frame's weight (N,).

    A frame weighs the inverse of its crop's energy, so that errors count in relation to the crop,
    as they do in its SNR.

    Args:
        network: waves (B, 1, S) to frames (B, C, T).
        crops: a crop an item.
        num_batches: batches that the network is run on.
        batch_size: crops in each.
        device: where the network is.
    """
    frames, weights = [], []
    for batch in range(num_batches):
        first = batch * batch_size
        members = [crops[index] for index in range(first, first + batch_size)]
        wave_BS = torch.stack(members).to(device)
        frames_BCT = network(wave_BS[:, None]).float()
        frames_BTC = frames_BCT.transpose(1, 2)
        frames.append(frames_BTC.flatten(0, 1))

        power_B = wave_BS.square().mean(1)
        weight_B = 1 / (power_B + 1e-6)
        weights.append(weight_B.repeat_interleave(frames_BCT.shape[-1]))
    return torch.cat(frames), torch.cat(weights)
