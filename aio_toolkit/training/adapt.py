"""Stage 4 once more: a trained model learns one more task, and none of the others changes."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning

from aio_toolkit.answers.base import load_units
from aio_toolkit.dump.split import Corpus
from aio_toolkit.errors import AioError
from aio_toolkit.models.adaptation import add_task
from aio_toolkit.models.checkpoint import MODEL, load_aio
from aio_toolkit.ranges import bounded
from aio_toolkit.training.data_module import TaskDataModule
from aio_toolkit.training.multitask import MultitaskModule, tasks_data, train_tasks
from aio_toolkit.training.optim import Optim
from aio_toolkit.training.run import Run, contents


class Adaptation:
    """Training of a new task's own layers in a model that is otherwise frozen.

    >>> Adaptation.Config(trained="exp/train_aio").optim.warmup_steps
    100
    """

    @dataclass
    class Config:
        """A complete description of an adaptation.

        Attributes:
            seed: of the new weights, batches and noise.
            trained: experiment folder of the model that learns the task.
            data: batches; `seconds` names the one new task.
            optim: the optimizer.
            trainer: options of `lightning.Trainer`, see `training.fit`.
        """

        trained: str
        seed: int = bounded(0, least=0)
        data: TaskDataModule.Config = field(default_factory=TaskDataModule.Config)
        optim: Optim.Config = field(default_factory=Optim.Config)
        trainer: dict[str, Any] = field(default_factory=dict)


def adapt(config: Adaptation.Config, corpus: Corpus, units: Path, out: Path) -> None:
    """Teach the model in `config.trained` the task in `config.data.seconds`; write `out/model.pt`.

    1. Read the model, and the units of the new task.
    2. Make room for the task; freeze all else.
    3. Train as in stage 4, on the new task alone.

    Args:
        config: the run.
        corpus: data dirs and their dumps.
        units: folder of the units of stage 2.
        out: experiment folder.

    Raises:
        AioError: there is not exactly one new task, or the model knows it.
    """
    tasks = config.data.chosen(corpus.tasks)
    if len(tasks) != 1:
        names = ", ".join(task.name for task in tasks)
        raise AioError(f"an adaptation teaches one new task; data.seconds names {names}.")
    (task,) = tasks
    trained = Path(config.trained, MODEL)
    run = Run(config, out, config.data.made_from(corpus) | contents(units, trained))
    if run.is_finished(MODEL):
        return
    lightning.seed_everything(config.seed)
    new_units = load_units(units, tasks)
    loaded = load_aio(trained)
    add_task(loaded.model, task, new_units[task.output])

    data = tasks_data(config.data, corpus, loaded, config.seed)
    module = MultitaskModule(loaded.model, config.optim, seed=config.seed)
    train_tasks(module, loaded, data, run)
