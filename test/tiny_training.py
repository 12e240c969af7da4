"""Lightning modules and runs that are small enough for tests.

They stand apart from `tiny.py` because Lightning is slow to import.
"""

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning
import torch
from tiny import ALL, TASKS, tiny_ssl_config
from torch import nn
from torch.utils.data import DataLoader

from aio_toolkit.config import from_values
from aio_toolkit.dump.split import Corpus
from aio_toolkit.loss import Loss
from aio_toolkit.models.aio import AioModel, AioOutput
from aio_toolkit.models.ssl import SslModel
from aio_toolkit.moe.base import Tables
from aio_toolkit.moe.mixture import MoE
from aio_toolkit.training.multitask import MultitaskModule
from aio_toolkit.training.optim import Optim
from aio_toolkit.training.pretrain import PretrainModule


class StubModel(nn.Module):
    """Answers every batch with the same losses and routing tables; the losses are parameters."""

    def __init__(self, losses: dict[str, float], tables: Tables, balance: dict[str, Any]):
        super().__init__()
        self.tasks = TASKS
        moe = from_values(MoE.Config, {"balance": balance}, "stub")
        self.config = SimpleNamespace(backbone=SimpleNamespace(moe=moe))
        parameters = {task: nn.Parameter(torch.tensor(loss)) for task, loss in losses.items()}
        self.losses = nn.ParameterDict(parameters)
        self.tables = tables
        sizes = {name: table.count_GE.shape[1] for name, table in tables.items()}
        self.layers = {name: self._layer(num_experts) for name, num_experts in sizes.items()}
        self.backbone = SimpleNamespace(moe_layers=lambda: self.layers)

    @staticmethod
    def _layer(num_experts: int) -> SimpleNamespace:
        return SimpleNamespace(router=SimpleNamespace(top_k=1, bias_E=torch.zeros(num_experts)))

    def forward(self, batch) -> AioOutput:
        losses = {task: self._answer(loss) for task, loss in self.losses.items()}
        return AioOutput(losses, {}, self.tables)

    @staticmethod
    def _answer(loss: torch.Tensor) -> Loss:
        return Loss(loss, {"figure": loss.detach() + 1})


def balance(kind: str, **options: Any) -> dict[str, Any]:
    """A balance as YAML chooses it."""
    return {"kind": kind, kind: options}


def aio_module(
    model: AioModel | StubModel, task_weights: dict[str, float] | None = None
) -> MultitaskModule:
    module = MultitaskModule(model, Optim.Config(), task_weights)
    # What a step asks of a trainer; `train_on` gives it a real one.
    module.trainer = SimpleNamespace(global_step=0, accumulate_grad_batches=1)
    return module


def ssl_module(model: SslModel) -> PretrainModule:
    return PretrainModule(model, PretrainModule.Config(model=tiny_ssl_config()))


def corpus_in(root: Path) -> Corpus:
    """What `tiny.write_dump` wrote."""
    return Corpus(root / "data", root / "dump", ALL)


def recorded(module: lightning.LightningModule) -> dict[str, float]:
    """Where a module without a trainer logs to from now on."""
    figures: dict[str, float] = {}

    def log(name: str, value: torch.Tensor | float, **options) -> None:
        figures[name] = float(value)

    def log_dict(values: dict[str, torch.Tensor | float], **options) -> None:
        for name, value in values.items():
            log(name, value)

    module.log, module.log_dict = log, log_dict
    return figures


class GradientKeeper(lightning.Callback):
    """Keeps the gradients of every optimizer step."""

    def __init__(self):
        self.steps: list[dict[str, torch.Tensor]] = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        params = pl_module.named_parameters()
        self.steps.append({name: p.grad.clone() for name, p in params if p.grad is not None})


def train_on(module: lightning.LightningModule, batches: list, **options) -> GradientKeeper:
    """Train on a list of batches as it stands; nothing is written."""
    keeper = GradientKeeper()
    quiet = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    trainer = lightning.Trainer(
        accelerator="cpu",
        callbacks=[keeper],
        limit_val_batches=0,
        **dict.fromkeys(quiet, False),
        **options,
    )
    trainer.fit(module, DataLoader(batches, batch_size=None, collate_fn=lambda batch: batch))
    return keeper


def logged(folder: Path) -> list[dict[str, float]]:
    """The figures that a run logged, those of its restarts included, as one dict a row."""
    rows: list[dict[str, float]] = []
    for path in sorted((folder / "logs").glob("*/metrics.csv")):
        with path.open() as file:
            table = list(csv.DictReader(file))
        rows += [{name: float(value) for name, value in row.items() if value} for row in table]
    return rows


def curve(folder: Path, name: str) -> dict[int, float]:
    """One logged figure by step."""
    return {int(row["step"]): row[name] for row in logged(folder) if name in row}


def last_state(folder: Path) -> dict:
    """Where a run stands: its weights, moments and rates, all that the next step depends on."""
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    optimizer, schedule = checkpoint["optimizer_states"][0], checkpoint["lr_schedulers"][0]
    return {
        "step": checkpoint["global_step"],
        "weights": dict(checkpoint["state_dict"]),
        "moments": optimizer["state"],
        "rates": [group["lr"] for group in optimizer["param_groups"]],
        "schedule": schedule["last_epoch"],
    }
