"""Stage 2: training a codec on the waves of the data dirs, where none is given.

Letters: B batch, S samples, T frames, Q codebooks, V codebook size.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import nn
from torch.utils.data import DataLoader

from aio_toolkit.codec.adversary import Adversary, AdversaryConfig
from aio_toolkit.codec.dac import WEIGHTS, DacConfig, build_dac, fit_length, save_dac
from aio_toolkit.codec.initialise import fit_latents, fit_quantizer, initialise, normalise_latents
from aio_toolkit.codec.losses import MultiScaleMelLoss, si_sdr, snr
from aio_toolkit.codec.usage import CodeRevival, count_codes, entropy_share
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
        quantise_from: optimiser step at which quantisation begins; the codebooks are fitted there.
        fitting_batches: batches whose frames the codebooks are fitted to.
        bypass_share: share of the crops in a batch that are not quantised, which keeps the decoder good for expected
            latents too.
        revive_after: steps after which a code that no frame has chosen moves to where frames are.
        half: write the weights as float16, half the size.
        compile: compile encoder and decoder; minutes at the start, then faster steps.
        dev_crops: crops of the dev split in a validation.
        num_workers: loader processes.
        mel_weight: weight of the multi-scale mel distance.
        snr_weight: weight of the negative SNR in dB: it makes the codec keep the wave, not only its sound.
        si_sdr_weight: weight of the negative SI-SDR in dB.
        codebook_weight: weight of moving codes to latents.
        commitment_weight: weight of moving latents to codes.
        adversary: discriminators, off by default.
    """

    seed: int = 0
    model: DacConfig = field(default_factory=DacConfig)
    crop_seconds: float = 0.5
    batch_size: int = 12
    quantise_from: int = 300
    fitting_batches: int = 60
    bypass_share: float = 0.25
    revive_after: int = 200
    half: bool = False
    compile: bool = False
    dev_crops: int = 48
    num_workers: int = 0
    mel_weight: float = 10.0
    snr_weight: float = 0.5
    si_sdr_weight: float = 0.5
    codebook_weight: float = 1.0
    commitment_weight: float = 0.25
    adversary: AdversaryConfig = field(default_factory=AdversaryConfig)
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
    save_dac(out, module.dac, config.model, config.half)
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


class _From:
    """A list of batches, begun at batch `start`; its length stays that of the whole run, as Lightning expects."""

    def __init__(self, batches: list[range], start: int):
        self.batches, self.start = batches, start

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self):
        return iter(self.batches[self.start :])


class CodecModule(lightning.LightningModule):
    """Reconstruction of crops; first without quantisation, then with."""

    quantising: torch.Tensor
    count_QV: torch.Tensor

    def __init__(self, config: CodecTrainConfig):
        super().__init__()
        self.config = config
        model = config.model
        self.dac = build_dac(model)
        initialise(self.dac)
        if config.compile:
            # In place: the names of the weights stay what they are.
            self.dac.encoder.compile(dynamic=False)
            self.dac.decoder.compile(dynamic=False)
        self.register_buffer("quantising", torch.tensor(False))
        self.register_buffer(
            "count_QV", torch.zeros(model.n_codebooks, model.codebook_size, dtype=torch.long), persistent=False
        )
        self.revival = CodeRevival(model.n_codebooks, model.codebook_size, config.revive_after)
        self.mel = MultiScaleMelLoss(model.sample_rate)
        self.adversary = Adversary(config.adversary, model.sample_rate) if config.adversary.weight else None

    def configure_optimizers(self):
        trained = nn.ModuleList([self.dac] if self.adversary is None else [self.dac, self.adversary])
        return build_optimizer(trained, self.config.optim, self.trainer.max_steps)

    @torch.no_grad()
    def on_train_start(self) -> None:
        if self.global_step == 0:
            fit_latents(self.dac, *self._frames(self.dac.encoder.block[:-1]))

    def training_step(self, wave_BS: torch.Tensor, index: int) -> torch.Tensor:
        if not self.quantising and self.global_step >= self.config.quantise_from:
            self._begin_quantising()
        return self._step("train", wave_BS)

    def validation_step(self, wave_BS: torch.Tensor, index: int) -> None:
        self._step("val", wave_BS)

    def on_validation_epoch_end(self) -> None:
        if self.quantising:
            entropy_Q = entropy_share(self.count_QV)
            used_Q = (self.count_QV > 0).float().mean(1)
            self.log_dict({"val/entropy": entropy_Q.mean(), "val/entropy_least": entropy_Q.min()})
            self.log("val/codes_used", used_Q.mean())
        self.count_QV.zero_()

    @torch.no_grad()
    def _begin_quantising(self) -> None:
        frames_NC, weight_N = self._frames(self.dac.encoder)
        with torch.autocast(self.device.type, enabled=False):
            fit_quantizer(self.dac.quantizer, normalise_latents(self.dac, frames_NC), weight_N)
        self.quantising.fill_(True)

    def _frames(self, network: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
        """What a network makes of the run's first crops (N, C), and each frame's weight (N,).

        A frame weighs the inverse of its crop's energy, so that errors count in relation to the crop, as they do in
        its SNR. A run that resumes gets the same crops.
        """
        crops, size = self.trainer.train_dataloader.dataset, self.config.batch_size
        frames, weights = [], []
        for batch in range(min(self.config.fitting_batches, len(crops) // size)):
            wave_BS = torch.stack([crops[i] for i in range(batch * size, (batch + 1) * size)]).to(self.device)
            frames_BCT = network(wave_BS[:, None]).float()
            frames.append(frames_BCT.transpose(1, 2).flatten(0, 1))
            weights.append((1 / (wave_BS.square().mean(1) + 1e-6)).repeat_interleave(frames_BCT.shape[-1]))
        return torch.cat(frames), torch.cat(weights)

    def _step(self, split: str, wave_BS: torch.Tensor) -> torch.Tensor:
        latents_BCT = self.dac.encoder(wave_BS[:, None])
        commitment = codebook = torch.zeros((), device=self.device)
        if self.quantising:
            latents_BCT, commitment, codebook = self._quantise(split, latents_BCT.float())
        estimate_BS = fit_length(self.dac.decoder(latents_BCT)[:, 0], wave_BS.shape[-1]).float()
        mel, snr_db = self.mel(estimate_BS, wave_BS), snr(estimate_BS, wave_BS).mean()
        config, figures = self.config, {}
        loss = (
            config.mel_weight * mel
            - config.snr_weight * snr_db
            - config.si_sdr_weight * si_sdr(estimate_BS, wave_BS).mean()
            + config.codebook_weight * codebook
            + config.commitment_weight * commitment
        )
        if self.adversary is not None and split == "train":
            adversary = self.adversary(estimate_BS, wave_BS)
            weights = config.adversary
            loss = loss + adversary.discriminator + weights.weight * adversary.generator
            loss = loss + weights.feature_weight * adversary.features
            figures = {name: value.detach() for name, value in vars(adversary).items()}
        if not torch.isfinite(loss):
            raise AioError(
                f"codec loss is {loss.item()} at step {self.global_step}. Lower optim.lr by --codec_args: the changed "
                "run gets a folder of its own."
            )
        self.log(f"{split}/loss", loss.detach(), prog_bar=True)
        self.log(f"{split}/snr", snr_db.detach(), prog_bar=True)
        figures |= {"mel": mel.detach(), "commitment": commitment.detach()}
        self.log_dict({f"{split}/{name}": value for name, value in figures.items()})
        return loss

    def _quantise(self, split: str, latents_BCT: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Quantised latents, commitment and codebook loss; keeps account of the codes in use."""
        # Nearest codes are looked up at full precision: bfloat16 takes neighbours for each other.
        with torch.autocast(self.device.type, enabled=False):
            quantised_BCT, codes_BQT, projected_BPT, commitment, codebook = self.dac.quantizer(latents_BCT)
        count_QV = count_codes(codes_BQT, self.dac.codebook_size)
        if split == "train":
            bypassing = round(self.config.bypass_share * len(latents_BCT))
            quantised_BCT = torch.cat([latents_BCT[:bypassing], quantised_BCT[bypassing:]])
            revived = self.revival.step(self.dac.quantizer, count_QV, projected_BPT, self.global_step)
            self.log("train/revived", float(revived))
        else:
            self.count_QV += count_QV
        return quantised_BCT, commitment, codebook
