"""What every answerer shares."""

import dataclasses

import pytest
from tiny import named, tiny_model

from aio_toolkit.bin.answer import OPTIONS
from aio_toolkit.errors import AioError
from aio_toolkit.hub.answerers.audio import AudioAnswerer
from aio_toolkit.hub.answerers.text import TextAnswerer


def test_a_task_that_hears_more_than_a_recording_is_refused(vocabulary):
    (task,) = named("enh")
    model = tiny_model(vocabulary, tasks=[task])
    tse = dataclasses.replace(task, name="tse", inputs=("enrolment",))
    message = "task 'tse' hears enrolment besides the recording.*bin.decode"
    with pytest.raises(AioError, match=message):
        AudioAnswerer(model, tse, lambda: None)


def test_the_command_has_the_options_of_all_kinds_and_tells_their_defaults():
    kinds = (AudioAnswerer, TextAnswerer)
    defaults = {f.name: f.default for kind in kinds for f in dataclasses.fields(kind.Options)}
    assert defaults.keys() == {*OPTIONS, "partial"}
    for name, (_, meaning) in OPTIONS.items():
        if defaults[name] is not None:
            assert meaning.endswith(f"({defaults[name]})")
