"""Options of training that are more than numbers."""

from aio_toolkit.training.config import DataConfig


def test_the_tasks_are_those_with_audio_in_a_batch_in_their_order():
    seconds = {"sep": 2.0, "asr": 0.0, "st": 0.5, "enh": 1.0}
    assert DataConfig(seconds=seconds).tasks == ["sep", "st", "enh"]


def test_no_task_is_trained_by_default():
    assert DataConfig().tasks == []
