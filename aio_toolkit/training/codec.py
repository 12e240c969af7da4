"""Stage 2: training a codec on the waves of the data dirs, where none is given.

Letters: B batch, S samples, T frames, Q codebooks, V codebook size.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from aio_toolkit.codec.dac import WEIGHTS, DacConfig, build_dac, fit_length, save_dac
from aio_toolkit.codec.initialise import fit_quantizer, normalise_latents, scale_weights
from aio_toolkit.codec.losses import MultiScaleMelLoss, snr
from aio_toolkit.data.crops import CropDataset
from aio_toolkit.data.datadir import read_data_dir
from aio_toolkit.errors import AioError
from aio_toolkit.training.fit import claim, fit
from aio_toolkit.training.optim import OptimConfig, build_optimizer


@dataclass
class CodecTrainConfig:
    """Codec training.

    Attributes:
        crop_seconds: length of a training crop.
        batch_size: crops in a step.
        quantise_from: optimiser step at which quantisation begins; the codebooks are fitted there to an encoder that
            has learnt the wave already.
        dev_crops: crops of the dev split in a validation.
        num_workers: loader processes.
        mel_weight: weight of the multi-scale mel distance.
        snr_weight: weight of the negative SNR in dB: it makes the codec keep the wave, not only its sound.
        codebook_weight: weight of moving codes to latents.
        commitment_weight: weight of moving latents to codes.
    """

    seed: int = 0
    model: DacConfig = field(default_factory=DacConfig)
    crop_seconds: float = 0.5
    batch_size: int = 12
    quantise_from: int = 300
    dev_crops: int = 48
    num_workers: int = 0
    mel_weight: float = 10.0
    snr_weight: float = 1.0
    codebook_weight: float = 1.0
    commitment_weight: float = 0.25
    optim: OptimConfig = field(default_factory=OptimConfig)
    trainer: dict[str, Any] = field(default_factory=dict)


def train_codec(config: CodecTrainConfig, data: Path, dev: Path, out: Path) -> None:
    """Train on all inputs and targets of the data dir `data`; write the codec to `out`."""
    if (out / WEIGHTS).is_file():
        claim(out, config)
        print(f"{out / WEIGHTS} is finished: nothing to do")
        return
    lightning.seed_everything(config.seed)
    module = CodecModule(config)
    # The last weights: before quantisation begins `val/loss` is lower, and says nothing of the codec.
    fit(module, CropDataModule(config, data, dev), config, out)
    save_dac(out, module.dac, config.model)
    print(f"wrote {out / WEIGHTS}")


class CropDataModule(lightning.LightningDataModule):
    """Crops in an order that the seed and the step number fix."""

    def __init__(self, config: CodecTrainConfig, data: Path, dev: Path):
        super().__init__()
        self.config = config
        self.train_utterances, self.dev_utterances = read_data_dir(data), read_data_dir(dev)

    def train_dataloader(self) -> DataLoader:
        """Crops from the step that training stands at."""
        trainer, size = self.trainer, self.config.batch_size
        ranks, accumulate = trainer.world_size, trainer.accumulate_grad_batches
        steps = trainer.max_steps * accumulate
        batches = [
            range((index * ranks + trainer.global_rank) * size, (index * ranks + trainer.global_rank + 1) * size)
            for index in range(steps)
        ]
        crops = self._crops(self.train_utterances, self.config.seed, steps * ranks * size)
        return self._loader(crops, _From(batches, trainer.global_step * accumulate))

    def val_dataloader(self) -> DataLoader:
        """The same crops at every validation."""
        size, count = self.config.batch_size, self.config.dev_crops
        crops = self._crops(self.dev_utterances, self.config.seed + 1, count)
        return self._loader(crops, [range(i, min(i + size, count)) for i in range(0, count, size)])

    def _crops(self, utterances, seed: int, length: int) -> CropDataset:
        model = self.config.model
        hop = math.prod(model.encoder_rates)
        samples = max(1, round(self.config.crop_seconds * model.sample_rate / hop)) * hop
        return CropDataset(utterances, model.sample_rate, samples, seed, length)

    def _loader(self, crops: CropDataset, batches) -> DataLoader:
        return DataLoader(crops, batch_sampler=batches, num_workers=self.config.num_workers)


FITTING_CROPS = 256


class _From:
    """A list of batches, begun at batch `start`; its length stays that of the whole run, as Lightning expects."""

    def __init__(self, batches: list[range], start: int):
        self.batches, self.start = batches, start

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self):
        return iter(self.batches[self.start :])


class CodecModule(lightning.LightningModule):
    """Reconstruction without discriminators, which a CPU cannot afford."""

    def __init__(self, config: CodecTrainConfig):
        super().__init__()
        self.config = config
        self.dac = build_dac(config.model)
        scale_weights(self.dac)
        self.register_buffer("quantising", torch.tensor(False))
        self.mel = MultiScaleMelLoss(config.model.sample_rate)

    def configure_optimizers(self):
        return build_optimizer(self.dac, self.config.optim, self.trainer.max_steps)

    def training_step(self, wave_BS: torch.Tensor, index: int) -> torch.Tensor:
        if not self.quantising and self.global_step >= self.config.quantise_from:
            self._begin_quantising()
        return self._step("train", wave_BS)

    def validation_step(self, wave_BS: torch.Tensor, index: int) -> None:
        self._step("val", wave_BS)

    @torch.no_grad()
    def _begin_quantising(self) -> None:
        # Always the run's first crops, so that a resumed run fits the same codebooks.
        crops = self.trainer.train_dataloader.dataset
        frames = []
        for first in range(0, min(FITTING_CROPS, len(crops)), self.config.batch_size):
            wave_BS = torch.stack([crops[i] for i in range(first, min(first + self.config.batch_size, len(crops)))])
            frames.append(self.dac.encoder(wave_BS.to(self.device)[:, None]).float().transpose(1, 2).flatten(0, 1))
        with torch.autocast(self.device.type, enabled=False):
            fit_quantizer(self.dac.quantizer, normalise_latents(self.dac, torch.cat(frames)))
        self.quantising.fill_(True)

    def _step(self, split: str, wave_BS: torch.Tensor) -> torch.Tensor:
        latents = self.dac.encoder(wave_BS[:, None])
        figures = {}
        commitment = codebook = torch.zeros((), device=self.device)
        if self.quantising:
            latents, codes_BQT, _, commitment, codebook = self.dac.quantizer(latents)
            figures["codebook_entropy"] = codebook_entropy(codes_BQT, self.dac.codebook_size)
        estimate_BS = fit_length(self.dac.decoder(latents)[:, 0], wave_BS.shape[-1]).float()
        mel, snr_db = self.mel(estimate_BS, wave_BS), snr(estimate_BS, wave_BS).mean()
        config = self.config
        loss = (
            config.mel_weight * mel
            - config.snr_weight * snr_db
            + config.codebook_weight * codebook
            + config.commitment_weight * commitment
        )
        if not torch.isfinite(loss):
            raise AioError(
                f"codec loss is {loss.item()} at step {self.global_step}. Lower optim.lr, then run again: it resumes."
            )
        self.log(f"{split}/loss", loss.detach(), prog_bar=True)
        self.log(f"{split}/snr", snr_db.detach(), prog_bar=True)
        figures |= {"mel": mel.detach(), "commitment": commitment.detach()}
        self.log_dict({f"{split}/{name}": value for name, value in figures.items()})
        return loss


def codebook_entropy(codes_BQT: torch.Tensor, codebook_size: int) -> torch.Tensor:
    """Entropy of the codes in use over its maximum, in [0, 1], averaged over codebooks."""
    counts_QV = F.one_hot(codes_BQT.transpose(0, 1).flatten(1), codebook_size).sum(1).float()
    share_QV = counts_QV / counts_QV.sum(1, keepdim=True)
    entropy_Q = torch.special.entr(share_QV).sum(1)
    # A batch of few frames cannot use more codes than it has frames.
    return (entropy_Q / math.log(min(codebook_size, counts_QV[0].sum().item()))).mean()
