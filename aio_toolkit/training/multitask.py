"""Stage 4: the MoE transformer on the frozen encoder, all tasks at once."""

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning
import torch

from aio_toolkit import parts
from aio_toolkit.answers.base import load_units
from aio_toolkit.codec.base import check_same
from aio_toolkit.dump.split import Corpus
from aio_toolkit.models.aio import AioModel, AioOutput
from aio_toolkit.models.batch import Batch
from aio_toolkit.models.checkpoint import MODEL, LoadedAio, load_ssl
from aio_toolkit.models.size import describe_size
from aio_toolkit.moe.balances.base import Balance
from aio_toolkit.moe.base import RoutingTable, Tables
from aio_toolkit.moe.pool import TablePool
from aio_toolkit.training.data_module import TaskDataModule
from aio_toolkit.training.dataset import AnswerDataset
from aio_toolkit.training.fit import claim, fit, load_weights
from aio_toolkit.training.module import TrainingModule
from aio_toolkit.training.monitor import RoutingMonitor
from aio_toolkit.training.optim import AdamWCosine


class MultitaskModule(TrainingModule):
    """A multitask model: the losses of its tasks and of the balance of its experts.

    The loss of a step is the sum of the tasks' losses, each by its weight, and of the balance's
    loss of every MoE layer, by the balance's weight.
    """

    model: AioModel

    @dataclass
    class Config:
        """Stage 4: a complete description of a run.

        Attributes:
            seed: of weights, batches and noise.
            model: the parts that are trained.
            data: batches.
            optim: the optimizer.
            task_weights: scales the losses of the tasks it names; the others weigh 1.
            trainer: options of `lightning.Trainer`, see `training.fit`.
        """

        seed: int = 0
        model: AioModel.Config = field(default_factory=AioModel.Config)
        data: TaskDataModule.Config = field(default_factory=TaskDataModule.Config)
        optim: AdamWCosine.Config = field(default_factory=AdamWCosine.Config)
        task_weights: dict[str, float] = field(default_factory=dict)
        trainer: dict[str, Any] = field(default_factory=dict)

    def __init__(
        self,
        model: AioModel,
        optim: AdamWCosine.Config,
        task_weights: dict[str, float] | None = None,
    ):
        super().__init__(model, optim)
        self.task_weights = task_weights or {}
        self.balance = parts.build(Balance, model.config.backbone.moe.balance)
        self.pool = TablePool()
        self.layers = model.backbone.moe_layers()
        visits = {name: layer.router.top_k for name, layer in self.layers.items()}
        self.monitor = RoutingMonitor([task.name for task in model.tasks], visits)
        self.finished: Tables = {}
        self.gradient_norms: dict[str, torch.Tensor] = {}

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        """Loss of a micro-batch."""
        output = self.model(batch)
        for task, loss in output.losses.items():
            self.check_finite(loss.total, batch, f"loss of task {task}")
        total = self.weighted(output)
        tables = self.pool.join(output.tables)
        if tables:
            balance = sum(self.balance.loss(table) for table in tables.values())
            total = total + self.balance.config.weight * balance
            self.log("train/balance", balance.detach(), batch_size=1)
        self._log_all("train", output, total, len(batch.ids))
        self._watch_gradients(output)
        return total

    def weighted(self, output: AioOutput) -> torch.Tensor:
        """Sum of the tasks' losses, each by its weight."""
        return sum(
            self.task_weights.get(task, 1.0) * loss.total for task, loss in output.losses.items()
        )

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        """Close the step's routing; correct the routers. It is done here because checkpoints are
        written next."""
        super().optimizer_step(*arguments, **options)
        self.finished = self.pool.finish_step()
        for name, table in self.finished.items():
            self.balance.after_step(self.layers[name].router, table)

    def on_train_batch_end(self, outputs: Any, batch: Batch, index: int) -> None:
        """Log the gradients of a micro-batch, and the routing of an optimizer step that is over."""
        figures = self.monitor.watch(self.global_step, self.finished)
        self.log_dict({f"moe/{name}": value for name, value in figures.items()}, batch_size=1)
        self.log_dict(self.gradient_norms, batch_size=1)
        self.finished, self.gradient_norms = {}, {}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The last step's routing is part of the state: the next micro-batch's loss looks at it."""
        checkpoint["routing"] = {name: vars(table) for name, table in self.pool.previous.items()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from the routing of the last step."""
        saved = checkpoint["routing"]
        self.pool.previous = {name: RoutingTable(**values) for name, values in saved.items()}

    def validation_step(self, batch: Batch, index: int) -> None:
        """Log the losses of a batch of the dev split."""
        output = self.model(batch)
        self._log_all("val", output, self.weighted(output), len(batch.ids))

    def _log_all(self, split: str, output: AioOutput, total: torch.Tensor, batch_size: int) -> None:
        self.log_loss(split, total, batch_size)
        for task, loss in output.losses.items():
            figures = {f"{task}/{name}": value for name, value in loss.figures.items()}
            figures[f"{task}/loss"] = loss.total.detach()
            self.log_figures(split, figures, batch_size)

    def _watch_gradients(self, output: AioOutput) -> None:
        """Note the norm of what each task's rows send back to the backbone, when they do.

        It tells which tasks pull at the backbone how hard, at no more than a norm's cost.
        """
        for task, frames in output.frames.items():
            if frames.h_BTD.requires_grad:
                frames.h_BTD.register_hook(functools.partial(self._note_gradient, task))

    def _note_gradient(self, task: str, gradient_BTD: torch.Tensor) -> None:
        self.gradient_norms[f"grad_norm/{task}"] = gradient_BTD.detach().float().norm()


@dataclass(frozen=True)
class Folders:
    """What stages 2 and 3 made for stage 4, and where it writes.

    Attributes:
        ssl: folder of the encoder of stage 3.
        units: folder of the units of stage 2.
        out: experiment folder.
    """

    ssl: Path
    units: Path
    out: Path


def train_multitask(config: MultitaskModule.Config, corpus: Corpus, folders: Folders) -> None:
    """Train all tasks named in `config.data.seconds`; write `out/model.pt`.

    1. Read the frozen encoder and the units of each kind of answer.
    2. Make the model; say how large it is.
    3. Train, from the last checkpoint where there is one.
    4. Write the model with the best validation loss.

    Args:
        config: the run.
        corpus: data dirs and their dumps.
        folders: what stages 2 and 3 made, and the experiment folder.
    """
    if (folders.out / MODEL).is_file():
        claim(folders.out, config)
        print(f"{folders.out / MODEL} is finished: nothing to do")
        return
    lightning.seed_everything(config.seed)
    tasks = config.data.chosen(corpus.tasks)
    units = load_units(folders.units, tasks)
    ssl = load_ssl(folders.ssl / MODEL)
    model = AioModel(config.model, tasks, ssl.encoder, units)
    print(describe_size(model))

    loaded = LoadedAio(model, ssl.config, ssl.provenance)
    module = MultitaskModule(model, config.optim, config.task_weights)
    train_tasks(
        module, loaded, tasks_data(config.data, corpus, loaded, config.seed), config, folders.out
    )


def tasks_data(
    config: TaskDataModule.Config, corpus: Corpus, loaded: LoadedAio, seed: int
) -> TaskDataModule:
    """Batches of the tasks in `config.seconds` for a model, which has to have been made for the
    corpus."""
    dumped = corpus.train.provenance()
    check_same(loaded.provenance.codec, dumped.codec, f"codes in {corpus.dump}")
    check_same(loaded.provenance.front_end, dumped.front_end, f"features in {corpus.dump}")
    tasks = config.chosen(corpus.tasks)
    units = loaded.model.units
    segment = config.segment_seconds and round(config.segment_seconds * dumped.codec.frame_rate)
    train = AnswerDataset(corpus.train, tasks, units, segment)
    dev = AnswerDataset(corpus.dev, tasks, units)
    return TaskDataModule(config, train, dev, loaded.model.tasks, seed)


def train_tasks(
    module: MultitaskModule, loaded: LoadedAio, data: TaskDataModule, config: Any, out: Path
) -> None:
    """Train a multitask model and write it with the best weights."""
    load_weights(module, fit(module, data, config, out))
    loaded.save(out / MODEL)
    print(f"wrote {out / MODEL}")
