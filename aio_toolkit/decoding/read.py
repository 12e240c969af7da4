"""Recordings as a batch for a model."""

from collections.abc import Sequence

from aio_toolkit.data.audio import read_audio
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.sources import read_input
from aio_toolkit.models.aio import AioModel
from aio_toolkit.models.batch import Batch, Example, collate


def read_batch(model: AioModel, utterances: Sequence[Utterance]) -> Batch:
    """What a model hears of recordings, without answers, on its device.

    Raises:
        AioError: a recording cannot be read, or is not as long as the data dir says.
    """
    rate = model.encoder.grid.sample_rate
    examples = []
    for utterance in utterances:
        inputs = {}
        for name, spec in utterance.inputs.items():
            inputs[name] = read_audio(spec, rate, f"{utterance.id} ({name})")
        wave_S = read_input(utterance, rate)
        examples.append(Example(utterance.id, utterance.task, wave_S, inputs=inputs))
    batch = collate(examples, model.tasks, model.encoder.grid.hop)
    return batch.inputs_on(next(model.parameters()).device)
