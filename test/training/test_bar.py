"""The progress bar of a run that resumes."""

from types import SimpleNamespace

import pytest

from aio_toolkit.training.bar import TrainingBar


@pytest.mark.parametrize(("step", "done"), [(0, 0), (5, 10)])
def test_the_bar_starts_where_the_run_stands_and_knows_its_end(step, done):
    """Of 24 micro-batches, two a step."""
    run = {"num_training_batches": 24, "global_step": step, "accumulate_grad_batches": 2}
    callback = TrainingBar()
    callback.on_train_start(SimpleNamespace(**run), None)
    bar = callback.train_progress_bar
    assert (bar.total, bar.n, bar.initial) == (24, done, done)
