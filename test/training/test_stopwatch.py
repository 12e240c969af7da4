"""The time of a training, without what an interruption costs."""

from types import SimpleNamespace

import lightning
import pytest

from aio_toolkit.models.cost import Cost
from aio_toolkit.models.size import Size
from aio_toolkit.training import stopwatch
from aio_toolkit.training.stopwatch import Stopwatch, cost_of


@pytest.fixture
def clock(monkeypatch):
    """What tells the time, in `seconds`."""
    clock = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(stopwatch.time, "monotonic", lambda: clock.seconds)
    return clock


def test_the_time_is_that_from_start_to_end(clock):
    watch = Stopwatch()
    clock.seconds += 5
    watch.on_train_start(None)
    clock.seconds += 20
    assert watch.seconds == 20
    watch.on_train_end(None)
    clock.seconds += 100
    assert watch.seconds == 20


def test_time_after_the_checkpoint_that_is_gone_back_to_does_not_count(clock):
    killed = Stopwatch()
    killed.on_train_start(None)
    clock.seconds += 60
    checkpoint = killed.state_dict()
    clock.seconds += 7
    again = Stopwatch()
    again.load_state_dict(checkpoint)
    again.on_train_start(None)
    clock.seconds += 40
    again.on_train_end(None)
    assert again.seconds == 100


def test_the_cost_counts_the_batches_of_all_processes():
    watch = Stopwatch()
    watch.load_state_dict({"seconds": 8.0})
    callbacks = [lightning.Callback(), watch]
    trainer = SimpleNamespace(
        global_step=5, accumulate_grad_batches=3, world_size=2, callbacks=callbacks
    )
    assert cost_of(trainer, 1.5, Size(9, 4)) == Cost(5, 8.0, 45.0, 9, 4)
