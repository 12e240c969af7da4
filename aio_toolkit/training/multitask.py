"""Stage 4: the MoE transformer on the frozen encoder, all tasks at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning
import torch

from aio_toolkit import parts
from aio_toolkit.answers.base import load_units
from aio_toolkit.dump.split import Corpus
from aio_toolkit.models.aio import AioModel, AioOutput
from aio_toolkit.models.batch import Batch
from aio_toolkit.models.checkpoint import MODEL, LoadedAio, load_ssl
from aio_toolkit.models.size import describe_size, size_of_model
from aio_toolkit.moe.balances.base import Balance
from aio_toolkit.moe.base import RoutingTable, Tables
from aio_toolkit.moe.pool import TablePool
from aio_toolkit.ranges import bounded
from aio_toolkit.tasks import get_task
from aio_toolkit.training.data_module import TaskDataModule
from aio_toolkit.training.dataset import AnswerDataset
from aio_toolkit.training.draws import forked, seed_of, seed_step
from aio_toolkit.training.fit import fit, load_weights
from aio_toolkit.training.module import TrainingModule
from aio_toolkit.training.monitor import RoutingMonitor
from aio_toolkit.training.optim import Optim
from aio_toolkit.training.pretrain import STATISTICS_BATCHES
from aio_toolkit.training.run import Run, contents, is_first_rank, say
from aio_toolkit.training.selection import DevScore
from aio_toolkit.training.stopwatch import cost_of
from aio_toolkit.training.trunk_gradients import TrunkGradients


class MultitaskModule(TrainingModule):
    """A multitask model: the losses of its tasks and of the balance of its experts.

    The loss of a step is the sum of the tasks' losses, each by its weight, and of the balance's
    loss of every MoE layer, by the balance's weight. Besides losses and figures of the heads, each
    micro-batch logs

    - `train/balance`: the balance's loss before its weight;
    - `grad_norm/<task>`: the norm of what a task's rows send back to the backbone, divided by the
      number of micro-batches and before it is evened out;
    - `moe/<layer>/<figure>`: routing of the step, see `moe.figures`.
    """

    # Tasks alike: a sum of losses would be ruled by the largest.
    best_by = ("val/score", "max")
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
            trunk: how the tasks' gradients meet at the end of the backbone.
            trainer: options of `lightning.Trainer`, see `training.fit`.
        """

        seed: int = bounded(0, least=0)
        model: AioModel.Config = field(default_factory=AioModel.Config)
        data: TaskDataModule.Config = field(default_factory=TaskDataModule.Config)
        optim: Optim.Config = field(default_factory=Optim.Config)
        task_weights: dict[str, float] = bounded({}, above=0)
        trunk: TrunkGradients.Config = field(default_factory=TrunkGradients.Config)
        trainer: dict[str, Any] = field(default_factory=dict)

    def __init__(
        self,
        model: AioModel,
        optim: Optim.Config,
        task_weights: Mapping[str, float] | None = None,
        seed: int = 0,
        trunk: TrunkGradients.Config | None = None,
    ):
        """Take over a model.

        Args:
            model: what is trained.
            optim: options of the optimizer.
            task_weights: weights of the tasks' losses, by task; the others weigh 1.
            seed: fixes what training steps draw.
            trunk: how the tasks' gradients meet at the end of the backbone.
        """
        super().__init__(model, optim, seed)
        names = [task.name for task in model.tasks]
        self.task_weights = dict.fromkeys(names, 1.0) | dict(task_weights or {})
        self.trunk = TrunkGradients(trunk or TrunkGradients.Config(), self.task_weights)
        self.balance = parts.build(Balance, model.config.backbone.moe.balance)
        self.pool = TablePool()
        self.layers = model.backbone.moe_layers()
        visits = {name: layer.router.top_k for name, layer in self.layers.items()}
        self.monitor = RoutingMonitor(names, visits)
        self.dev_score = DevScore()
        self.finished: Tables = {}

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        """Loss of a micro-batch.

        1. Losses of the tasks that it holds.
        2. Loss of the balance, on the routing of the step so far.
        3. Log both, and have the gradients of the tasks evened out when they come back.
        """
        seed_step(self.seed, batch.number)
        # The same for all micro-batches and ranks: they share the step's gradients and tables.
        self.model.backbone.drop_seed = seed_of(self.seed, self.global_step)
        output = self.model(batch)
        for task, loss in output.losses.items():
            self.check_finite(loss.total, f"loss of task {task}")
        total = self.weighted(output)
        # A dense model has none.
        if output.tables:
            total = total + self._balance_loss(output.tables)
        self._log_all("train", output, total, len(batch.ids))
        for task, frames in output.frames.items():
            self.trunk.watch(task, frames.h_BTD)
        return total

    def weighted(self, output: AioOutput) -> torch.Tensor:
        """Sum of the tasks' losses, each by its weight."""
        terms = []
        for task, loss in output.losses.items():
            terms.append(self.task_weights[task] * loss.total)
        return sum(terms)  # type: ignore[return-value]

    def _balance_loss(self, tables: Tables) -> torch.Tensor:
        """The weighted loss of all MoE layers."""
        micro_batches = self.trainer.accumulate_grad_batches
        joined = self.pool.join(tables, micro_batches)
        balance: Any = sum(self.balance.loss(table) for table in joined.values())
        self.log("train/balance", balance.detach(), batch_size=1)
        return self.balance.config.weight * balance

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        """Close the step's gradients and routing; correct the routers."""
        super().optimizer_step(*arguments, **options)
        self.trunk.close_step(self.trainer.accumulate_grad_batches)
        # Here, as checkpoints are written next.
        self.finished = self.pool.finish_step()
        for name, table in self.finished.items():
            self.balance.after_step(self.layers[name].router, table)

    def on_train_batch_end(self, outputs: Any, batch: Batch, index: int) -> None:
        """Log the gradients of a micro-batch, and the routing of an optimizer step that is over."""
        figures = self.monitor.watch(self.global_step, self.finished)
        named = {f"moe/{name}": value for name, value in figures.items()}
        self.log_dict(named, batch_size=1)
        norms = {f"grad_norm/{task}": norm for task, norm in self.trunk.take_noted().items()}
        self.log_dict(norms, batch_size=1)
        self.finished = {}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the last step's routing, which the next micro-batch's loss looks at, and the score
        of the first validation."""
        previous = self.pool.previous
        checkpoint["routing"] = {name: vars(table) for name, table in previous.items()}
        checkpoint["dev_score"] = self.dev_score.state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from what was saved."""
        self.dev_score.restore(checkpoint["dev_score"])
        saved = checkpoint["routing"]
        self.pool.previous = {name: RoutingTable(**columns) for name, columns in saved.items()}

    def validation_step(self, batch: Batch, index: int) -> None:
        """Log the losses of a batch of the dev split, with the same draws at every validation."""
        with forked(batch.number):
            output = self.model(batch)
        self._log_all("val", output, self.weighted(output), len(batch.ids))
        for task, loss in output.losses.items():
            rows = loss.total[None] if loss.rows_B is None else loss.rows_B
            self.dev_score.add(task, rows)

    def on_validation_epoch_end(self) -> None:
        """Log by how much the dev losses have fallen, see `DevScore`."""
        self.log("val/score", self.dev_score.close(), prog_bar=True)

    def _log_all(self, split: str, output: AioOutput, total: torch.Tensor, batch_size: int) -> None:
        self.log_loss(split, total, batch_size)
        for task, loss in output.losses.items():
            figures = {f"{task}/{name}": value for name, value in loss.figures.items()}
            figures[f"{task}/loss"] = loss.total
            self.log_figures(split, figures, batch_size)


@dataclass(frozen=True)
class Folders:
    """What stages 2 and 3 made for stage 4, and where it writes.

    Attributes:
        ssl: folder of the encoder of stage 3.
        units: folder of the units of stage 2.
        out: experiment folder.

    >>> folders = Folders(Path("exp/train_ssl"), Path("dump/units"), Path("exp/train_aio"))
    >>> str(folders.out)
    'exp/train_aio'
    """

    ssl: Path
    units: Path
    out: Path


def train_multitask(config: MultitaskModule.Config, corpus: Corpus, folders: Folders) -> None:
    """Train all tasks named in `config.data.seconds`; write `out/model.pt`.

    1. Read the frozen encoder and the units of each kind of answer.
    2. Make the model; say how large it is.
    3. Take the statistics of the features that the backbone reads besides.
    4. Train, from the last checkpoint where there is one.
    5. Write the model with the best validation score.

    Args:
        config: the run.
        corpus: data dirs and their dumps.
        folders: what stages 2 and 3 made, and the experiment folder.

    Raises:
        AioError: an earlier stage has not finished, or was made with another codec; another run
            began the folder; or a loss is not a number.
    """
    tasks = config.data.chosen(corpus.tasks)
    for name in config.task_weights:
        get_task(corpus.tasks, name)
    made_from = config.data.made_from(corpus) | contents(folders.units, folders.ssl / MODEL)
    run = Run(config, folders.out, made_from)
    if run.is_finished(MODEL):
        return
    lightning.seed_everything(config.seed)
    units = load_units(folders.units, tasks)
    ssl = load_ssl(folders.ssl / MODEL)
    model = AioModel(config.model, tasks, ssl.encoder, units)
    say(describe_size(model))

    loaded = LoadedAio(model, ssl.codec)
    data = tasks_data(config.data, corpus, loaded, config.seed)
    if config.model.front_end.parts:
        # A run that goes on has them in its checkpoint.
        batches = data.first_batches(STATISTICS_BATCHES)
        model.front_end.fit((batch.wave_BS, batch.samples_B) for batch in batches)
    module = MultitaskModule(model, config.optim, config.task_weights, config.seed, config.trunk)
    train_tasks(module, loaded, data, run)


def tasks_data(
    config: TaskDataModule.Config, corpus: Corpus, loaded: LoadedAio, seed: int
) -> TaskDataModule:
    """Batches of the tasks in `config.seconds` for a model.

    Args:
        config: batches.
        corpus: data dirs and their dumps.
        loaded: the model.
        seed: fixes the order of batches and all that is drawn for them.

    Raises:
        AioError: the dump was made with another codec than the model's encoder.
    """
    corpus.train.check_codec(loaded.codec, "the frozen encoder")
    model = loaded.model
    tasks = config.chosen(corpus.tasks)
    wanted = {task.output: model.wanted(task.output) for task in tasks}
    rules = config.rules(corpus, loaded.codec.grid)
    train = AnswerDataset(corpus.train, tasks, model.units, wanted, rules)
    dev = AnswerDataset(corpus.dev, tasks, model.units, wanted)
    return TaskDataModule(config, train, dev, model.tasks, seed)


def train_tasks(
    module: MultitaskModule, loaded: LoadedAio, data: TaskDataModule, run: Run[Any]
) -> None:
    """Train a multitask model and write it with the best weights.

    Args:
        module: the model and what trains it.
        loaded: the same model, and what is saved with it.
        data: its batches.
        run: what defines it.
    """
    best = fit(module, data, run)
    load_weights(module, best)
    loaded.model.example_seconds |= data.example_seconds()
    path = run.out / MODEL
    if is_first_rank():
        seconds, size = sum(data.config.seconds.values()), size_of_model(module.model)
        cost_of(module.trainer, seconds, size).write(run.out)
        # Last: it says that the run is finished.
        loaded.save(path)
    say(f"wrote {path}")
