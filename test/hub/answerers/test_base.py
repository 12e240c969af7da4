"""What every answerer shares."""

import dataclasses

import pytest
from tiny import named, tiny_model

from aio_toolkit.errors import AioError
from aio_toolkit.hub.answerers.audio import AudioAnswerer


def test_a_task_that_hears_more_than_a_recording_is_refused(vocabulary):
    (task,) = named("enh")
    model = tiny_model(vocabulary, tasks=[task])
    tse = dataclasses.replace(task, name="tse", inputs=("enrolment",))
    message = "task 'tse' hears enrolment besides the recording.*bin.decode"
    with pytest.raises(AioError, match=message):
        AudioAnswerer(model, tse, lambda: None)
