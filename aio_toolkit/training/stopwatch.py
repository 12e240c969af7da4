"""The time of a training, and with it all that it took."""

import time
from typing import Any, override

import lightning
from lightning.pytorch.callbacks import Callback

from aio_toolkit.models.cost import Cost
from aio_toolkit.models.size import Size


class Stopwatch(Callback):
    """Takes the time of a training.

    Lightning's `Timer` does so too, but where there is one `trainer.max_time` counts for nothing.

    >>> watch = Stopwatch()
    >>> watch.load_state_dict({"seconds": 60.0})  # until the checkpoint
    >>> watch.seconds
    60.0
    """

    def __init__(self) -> None:
        self.before = 0.0
        self.started: float | None = None

    @property
    def seconds(self) -> float:
        """So far, without what was done after the last checkpoint and is done again."""
        if self.started is None:
            return self.before
        return self.before + time.monotonic() - self.started

    @override
    def on_train_start(self, trainer: lightning.Trainer, *rest: Any) -> None:
        """Go."""
        self.started = time.monotonic()

    @override
    def on_train_end(self, trainer: lightning.Trainer, *rest: Any) -> None:
        """Stop."""
        self.before, self.started = self.seconds, None

    @override
    def state_dict(self) -> dict[str, Any]:
        """What goes to the checkpoint."""
        return {"seconds": self.seconds}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.before = state_dict["seconds"]


def cost_of(trainer: lightning.Trainer, batch_seconds: float, size: Size) -> Cost:
    """The cost of a training that is over.

    Args:
        trainer: what trained, with a stopwatch among its callbacks.
        batch_seconds: audio in a batch.
        size: of the model.
    """
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    (watch,) = [callback for callback in callbacks if isinstance(callback, Stopwatch)]
    batches = trainer.global_step * trainer.accumulate_grad_batches * trainer.world_size
    seconds = batches * batch_seconds
    return Cost(trainer.global_step, watch.seconds, seconds, size.total, size.active)
