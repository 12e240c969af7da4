"""Lightning modules of stages 3 and 4: a loss, what to log, an optimiser."""

import time

import lightning
import torch

from aio_toolkit.data.batch import Batch
from aio_toolkit.errors import AioError
from aio_toolkit.models.aio import AioModel, AioOutput
from aio_toolkit.models.ssl import SslModel
from aio_toolkit.moe.balance import build_balance, update_bias
from aio_toolkit.moe.base import RoutingTable, Tables
from aio_toolkit.moe.pool import TablePool
from aio_toolkit.training.config import AioTrainConfig, SslTrainConfig
from aio_toolkit.training.monitor import CollapseMonitor, RoutingMonitor
from aio_toolkit.training.optim import build_optimizer


class _TrainingModule(lightning.LightningModule):
    """Shared by all stages that train on batches of utterances."""

    def __init__(self, model: torch.nn.Module, config: SslTrainConfig | AioTrainConfig):
        super().__init__()
        self.model = model
        self.config = config

    def configure_optimizers(self):
        return build_optimizer(self.model, self.config.optim, self.trainer.max_steps)

    def _check(self, loss: torch.Tensor, batch: Batch, name: str = "loss") -> None:
        if not torch.isfinite(loss):
            raise AioError(
                f"{name} is {loss.item()} at step {self.global_step} (batch with {', '.join(batch.ids[:4])}, ...). "
                "Lower optim.lr or set trainer.precision=32-true by --ssl_args or --train_args: the changed run gets a "
                "folder of its own."
            )

    def _log(self, split: str, figures: dict[str, torch.Tensor], batch_size: int) -> None:
        self.log_dict({f"{split}/{name}": value for name, value in figures.items()}, batch_size=batch_size)

    def _log_loss(self, split: str, loss: torch.Tensor, batch_size: int) -> None:
        self.log(f"{split}/loss", loss.detach(), prog_bar=True, batch_size=batch_size)


class SslModule(_TrainingModule):
    """Stage 3."""

    model: SslModel

    def __init__(self, model: SslModel, config: SslTrainConfig, frame_rate: float):
        super().__init__(model, config)
        self.frame_rate = frame_rate
        self.monitor = CollapseMonitor()
        self.started = 0.0

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        return self._step("train", batch)

    def optimizer_step(self, *arguments, **options) -> None:
        super().optimizer_step(*arguments, **options)
        self.model.objective.after_step(self.model.ssl_encoder)

    def on_train_batch_start(self, batch: Batch, index: int) -> None:
        self.started = time.perf_counter()

    def on_train_batch_end(self, outputs: dict, batch: Batch, index: int) -> None:
        seconds = batch.lengths_B.sum().item() / self.frame_rate
        self.log("train/audio_seconds_per_second", seconds / (time.perf_counter() - self.started), batch_size=1)

    def validation_step(self, batch: Batch, index: int) -> None:
        # The same frames are hidden at every validation, or the curve would wander by chance.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(index)
            self._step("val", batch)

    def _step(self, split: str, batch: Batch) -> torch.Tensor:
        loss, figures = self.model(batch.feats_BTF, batch.lengths_B, batch.codes_BTQ)
        self._check(loss, batch)
        if split == "train":
            self.monitor.watch(self.global_step, figures)
        self._log_loss(split, loss, len(batch.ids))
        self._log(split, figures, len(batch.ids))
        return loss


class AioModule(_TrainingModule):
    """Stage 4."""

    model: AioModel

    def __init__(self, model: AioModel, config: AioTrainConfig):
        super().__init__(model, config)
        self.balance_config = config.model.backbone.moe.balance
        self.balance = build_balance(self.balance_config)
        self.pool = TablePool()
        self.layers = model.backbone.moe_layers()
        self.monitor = RoutingMonitor(model.tasks, {name: layer.router.top_k for name, layer in self.layers.items()})
        self.finished: Tables = {}

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        output = self.model(batch)
        total = self._weighted(output)
        for task, loss in output.losses.items():
            self._check(loss.total, batch, f"loss of task {task}")
        tables = self.pool.join(output.tables)
        if self.balance is not None and tables:
            total = total + self.balance_config.weight * sum(self.balance(table) for table in tables.values())
        self._log_all("train", output, total, len(batch.ids))
        return total

    def optimizer_step(self, *arguments, **options) -> None:
        """Close the step's routing; move the biases. It is done here because checkpoints are written next."""
        super().optimizer_step(*arguments, **options)
        self.finished = self.pool.finish_step()
        if self.balance_config.kind == "bias":
            for name, table in self.finished.items():
                update_bias(self.layers[name].router.bias_E, table, self.balance_config.bias_rate)

    def on_train_batch_end(self, outputs: dict, batch: Batch, index: int) -> None:
        """Log the routing of an optimiser step that is over."""
        figures = self.monitor.watch(self.global_step, self.finished)
        self.log_dict({f"moe/{name}": value for name, value in figures.items()}, batch_size=1)
        self.finished = {}

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        """The last step's routing is part of the state: the next micro-batch's loss looks at it."""
        checkpoint["routing"] = {name: vars(table) for name, table in self.pool.previous.items()}

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        """Go on from the routing of the last step."""
        self.pool.previous = {name: RoutingTable(**values) for name, values in checkpoint["routing"].items()}

    def validation_step(self, batch: Batch, index: int) -> None:
        output = self.model(batch)
        total = self._weighted(output)
        self._log_all("val", output, total, len(batch.ids))

    def _weighted(self, output: AioOutput) -> torch.Tensor:
        weights = self.config.task_weights
        return sum(weights.get(task, 1.0) * loss.total for task, loss in output.losses.items())

    def _log_all(self, split: str, output: AioOutput, total: torch.Tensor, batch_size: int) -> None:
        self._log_loss(split, total, batch_size)
        for task, loss in output.losses.items():
            figures = {f"{task}/{name}": value for name, value in loss.figures.items()}
            self._log(split, {f"{task}/loss": loss.total.detach(), **figures}, batch_size)
