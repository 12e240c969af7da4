"""Recordings as batches: what the model hears is what the files hold."""

import numpy as np
import torch
from tiny import named, tiny_model, utterance, with_waves

from aio_toolkit.data.audio import read_audio
from aio_toolkit.decoding.read import read_batch


def test_a_batch_holds_the_recordings_and_what_is_heard_besides(vocabulary, tmp_path):
    model = tiny_model(vocabulary)
    made = [with_waves(utterance("sep", f"sep-{n}", 3 + 2 * n), tmp_path) for n in range(2)]
    made[1].inputs["enrol"] = made[0].wav
    batch = read_batch(model, made)
    assert batch.ids == ["sep-0", "sep-1"]
    assert batch.task_B.tolist() == [1, 1]
    assert batch.targets == {}
    for row, u in enumerate(made):
        want_S = read_audio(u.wav, 16000)
        assert batch.samples_B[row] == len(want_S)
        np.testing.assert_array_equal(batch.wave_BS[row, : len(want_S)], want_S)
    enrolment = batch.inputs["enrol"]
    assert enrolment.rows == [1]
    assert torch.equal(enrolment.wave_RS[0], batch.wave_BS[0, : made[0].num_samples])
    assert [task.name for task in model.tasks] == [task.name for task in named("asr", "sep")]
