"""Stage 2: training a codec on the waves of the data dirs, where none is given.

Letters: B batch, S samples, T frames, Q codebooks, V codebook size, C latent channels, N frames of
many crops.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import nn
from torch.optim import Optimizer

from aio_toolkit.codec.adversary import Adversary, AdversaryLoss
from aio_toolkit.codec.codebooks import fit_quantizer, normalise_latents
from aio_toolkit.codec.convolutions import fit_length
from aio_toolkit.codec.dac import Dac
from aio_toolkit.codec.dac_model import WEIGHTS, build_dac, save_dac
from aio_toolkit.codec.initialise import fit_latents, initialise
from aio_toolkit.codec.losses import MultiScaleMelLoss, si_sdr, snr
from aio_toolkit.codec.usage import CodeRevival, count_codes, entropy_share
from aio_toolkit.data.datadir import read_data_dir
from aio_toolkit.data.digest import digest_of
from aio_toolkit.layers import zero_with_gradient
from aio_toolkit.ranges import bounded
from aio_toolkit.ranks import follow_first_rank
from aio_toolkit.tasks import Task
from aio_toolkit.training.clipping import ClippingModule
from aio_toolkit.training.crops import CropDataModule, frames_of_crops
from aio_toolkit.training.draws import seed_step
from aio_toolkit.training.fit import fit
from aio_toolkit.training.optim import Optim
from aio_toolkit.training.run import Run, is_first_rank, say


class CodecModule(ClippingModule):
    """Reconstruction of crops; first without quantization, then with.

    >>> small = Dac.Config(encoder_dim=4, latent_dim=8, decoder_dim=16, n_codebooks=2)
    >>> module = CodecModule(CodecModule.Config(model=small))
    >>> bool(module.quantizing)
    False
    """

    @dataclass
    class Config:
        """A training run.

        Attributes:
            seed: fixes initial weights, crops and their order.
            model: architecture of the codec.
            crop_seconds: length of a training crop.
            batch_size: crops in a step.
            quantize_from: optimizer step at which the codebooks are fitted and quantization begins.
            fitting_batches: batches whose frames the codebooks are fitted to.
            bypass_share: share of the crops in a batch that are not quantized, which keeps the
                decoder good for expected latents too.
            quantizer_dropout: share of the crops in a batch of which each is quantized by a random
                number of leading codebooks (Zeghidour et al. 2021, SoundStream). It makes leading
                codebooks alone good too, at some cost to all of them together; with 0 a codec is
                good with all of its codebooks only.
            revive_after: steps after which a code that no frame has chosen moves to a frame.
            half: write the weights as float16, half the size.
            compile: compile encoder and decoder; minutes at the start, then faster steps.
            dev_crops: crops of the dev split in a validation.
            num_workers: loader processes.
            mel_weight: weight of the multi-scale mel distance.
            snr_weight: weight of the negative SNR in dB: it makes the codec keep the wave, not only
                its sound.
            si_sdr_weight: weight of the negative SI-SDR in dB.
            codebook_weight: weight of moving codes to latents.
            commitment_weight: weight of moving latents to codes.
            adversary: discriminators, off by default.
            optim: optimizer and schedule.
            trainer: options of `lightning.Trainer`, see `training.fit`.
        """

        seed: int = bounded(0, least=0)
        model: Dac.Config = field(default_factory=Dac.Config)
        crop_seconds: float = bounded(0.5, above=0)
        batch_size: int = bounded(12, least=1)
        quantize_from: int = bounded(300, least=0)
        fitting_batches: int = bounded(60, least=1)
        bypass_share: float = bounded(0.25, least=0, most=1)
        quantizer_dropout: float = bounded(0.0, least=0, most=1)
        revive_after: int = bounded(200, least=1)
        half: bool = False
        compile: bool = False
        dev_crops: int = bounded(48, least=1)
        num_workers: int = bounded(0, least=0)
        mel_weight: float = bounded(10.0, least=0)
        snr_weight: float = bounded(0.5, least=0)
        si_sdr_weight: float = bounded(0.5, least=0)
        codebook_weight: float = bounded(1.0, least=0)
        commitment_weight: float = bounded(0.25, least=0)
        adversary: Adversary.Config = field(default_factory=Adversary.Config)
        optim: Optim.Config = field(default_factory=Optim.Config)
        trainer: dict[str, Any] = field(default_factory=dict)

    quantizing: torch.Tensor
    count_QV: torch.Tensor

    def __init__(self, config: Config) -> None:
        """Make a codec with the starting point of `codec.initialise`."""
        super().__init__()
        self.config = config
        model = config.model
        self.dac = build_dac(model)
        initialise(self.dac)
        self.dac.quantizer.quantizer_dropout = config.quantizer_dropout
        if config.compile:
            # In place: the names of the weights stay what they are.
            self.dac.encoder.compile(dynamic=False)
            self.dac.decoder.compile(dynamic=False)
        # Part of the checkpoint, unlike the count, which a validation begins anew.
        self.register_buffer("quantizing", torch.tensor(data=False))
        count_QV = torch.zeros(model.n_codebooks, model.codebook_size, dtype=torch.long)
        self.register_buffer("count_QV", count_QV, persistent=False)
        self.revival = CodeRevival(model.n_codebooks, model.codebook_size, config.revive_after)
        self.mel = MultiScaleMelLoss(model.sample_rate)
        self.adversary: Adversary | None = None
        if config.adversary.weight:
            self.adversary = Adversary(config.adversary, model.sample_rate)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """One optimizer for the codec and its discriminators."""
        trained = nn.ModuleList([self.dac])
        if self.adversary is not None:
            trained.append(self.adversary)
        return Optim(self.config.optim).build(trained, self.trainer.max_steps)

    @torch.no_grad()
    def on_train_start(self) -> None:
        """Fit the latents to the data, unless the run resumes."""
        if self.global_step == 0:
            before_latents = self.dac.encoder.block[:-1]
            fit_latents(self.dac, *self._frames(before_latents))
            follow_first_rank(self.dac)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip codec and discriminators each by a norm of its own, not by that of both.

        Gradients of one that are large would else slow down the other.
        """
        by_norm = gradient_clip_algorithm in (None, "norm")
        if self.adversary is None or not by_norm or not gradient_clip_val:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
            return
        for network in (self.dac, self.adversary):
            self.clip(network.parameters(), gradient_clip_val)

    def training_step(self, wave_BS: torch.Tensor, index: int) -> torch.Tensor:
        """The loss of a batch; quantization begins before it when its step has come."""
        trainer = self.trainer
        seed_step(self.config.seed, index * trainer.world_size + trainer.global_rank)
        if not self.quantizing and self.global_step >= self.config.quantize_from:
            self._begin_quantizing()
        return self._step("train", wave_BS)

    def validation_step(self, wave_BS: torch.Tensor, index: int) -> None:
        """Log the loss of a batch of the dev split."""
        self._step("val", wave_BS)

    def on_validation_epoch_end(self) -> None:
        """Log how much of the codebooks the dev split uses."""
        if self.quantizing:
            entropy_Q = entropy_share(self.count_QV)
            self.log("val/entropy", entropy_Q.mean())
            self.log("val/entropy_least", entropy_Q.min())
            used_Q = (self.count_QV > 0).float().mean(1)
            self.log("val/codes_used", used_Q.mean())
        self.count_QV.zero_()

    @torch.no_grad()
    def _begin_quantizing(self) -> None:
        frames_NC, weight_N = self._frames(self.dac.encoder)
        with torch.autocast(self.device.type, enabled=False):
            scaled_NC = normalise_latents(self.dac, frames_NC)
            fit_quantizer(self.dac.quantizer, scaled_NC, weight_N)
        # K-means on a GPU adds up in any order, and its draws are the rank's.
        follow_first_rank(self.dac)
        self.quantizing.fill_(value=True)

    def _frames(self, network: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
        """Frames (N, C) of the run's first crops and their weights (N,); again when it resumes."""
        crops, config = self.trainer.train_dataloader.dataset, self.config
        num_batches = min(config.fitting_batches, len(crops) // config.batch_size)
        return frames_of_crops(network, crops, num_batches, config.batch_size, self.device)

    def _step(self, split: str, wave_BS: torch.Tensor) -> torch.Tensor:
        """Encode, quantize, decode; then the losses of the wave and those of the codes."""
        latents_BCT = self.dac.encoder(wave_BS[:, None])
        commitment = codebook = torch.zeros((), device=self.device)
        if self.quantizing:
            latents_BCT, commitment, codebook = self._quantize(split, latents_BCT.float())
        elif split == "train":
            codebook = zero_with_gradient(self.dac.quantizer)
        out_B1S = self.dac.decoder(latents_BCT)
        estimate_BS = fit_length(out_B1S[:, 0], wave_BS.shape[-1]).float()

        config = self.config
        mel = self.mel(estimate_BS, wave_BS)
        snr_db = snr(estimate_BS, wave_BS).mean()
        si_sdr_db = si_sdr(estimate_BS, wave_BS).mean()
        loss = (
            config.mel_weight * mel
            - config.snr_weight * snr_db
            - config.si_sdr_weight * si_sdr_db
            + config.codebook_weight * codebook
            + config.commitment_weight * commitment
        )
        if self.adversary is not None and split == "train":
            loss = self._add_adversary(loss, self.adversary(estimate_BS, wave_BS))
        if not torch.isfinite(loss):
            self.refuse(f"codec loss is {loss.item()}")
        self.log(f"{split}/loss", loss.detach(), prog_bar=True)
        self.log(f"{split}/snr", snr_db.detach(), prog_bar=True)
        self.log(f"{split}/mel", mel.detach())
        self.log(f"{split}/commitment", commitment.detach())
        return loss

    def _add_adversary(self, loss: torch.Tensor, losses: AdversaryLoss) -> torch.Tensor:
        """Add what codec and discriminators learn of each other."""
        for name, value in vars(losses).items():
            self.log(f"train/{name}", value.detach())
        weights = self.config.adversary
        loss = loss + losses.discriminator
        loss = loss + weights.weight * losses.generator
        return loss + weights.feature_weight * losses.features

    def _quantize(
        self, split: str, latents_BCT: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Quantized latents, commitment and codebook loss; keeps account of the codes in use."""
        # Nearest codes are looked up at full precision: bfloat16 takes neighbours for each other.
        with torch.autocast(self.device.type, enabled=False):
            outputs = self.dac.quantizer(latents_BCT)
        quantized_BCT, codes_BQT, projected_BPT, commitment, codebook = outputs
        count_QV = count_codes(codes_BQT, self.dac.codebook_size)
        if split != "train":
            self.count_QV += count_QV
            return quantized_BCT, commitment, codebook

        # The last crops, as the package's quantizer dropout takes the first.
        quantized = len(latents_BCT) - round(self.config.bypass_share * len(latents_BCT))
        mixed_BCT = torch.cat([quantized_BCT[:quantized], latents_BCT[quantized:]])
        step = self.global_step
        revived = self.revival.step(self.dac.quantizer, count_QV, projected_BPT, seed=step)
        self.log("train/revived", float(revived))
        return mixed_BCT, commitment, codebook


def train_codec(
    config: CodecModule.Config, tasks: Mapping[str, Task], data: Path, dev: Path, out: Path
) -> None:
    """Train on all inputs and all waves among the answers of a data dir.

    Args:
        config: the run.
        tasks: all tasks that utterances may have, by name.
        data: data dir to train on.
        dev: data dir to validate on.
        out: folder of the codec.

    Raises:
        AioError: a data dir is not valid, another run began `out`, or the loss is not a number.
    """
    utterances = {path: read_data_dir(path, tasks) for path in (data, dev)}
    made_from = {str(path): digest_of(of_path) for path, of_path in utterances.items()}
    run = Run(config, out, made_from)
    if run.is_finished(WEIGHTS):
        return
    lightning.seed_everything(config.seed)
    module = CodecModule(config)
    crops = CropDataModule(config, utterances[data], utterances[dev])
    # Not the best weights: before quantization begins `val/loss` is lower, and says nothing yet.
    fit(module, crops, run)
    if is_first_rank():
        save_dac(out, module.dac, config.model, half=config.half)
    say(f"wrote {out / WEIGHTS}")
