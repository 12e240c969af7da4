"""What a mixture consists of: the targets of its data dir, and the residual where the task has one.

Letters: N sources, S samples.
"""

import numpy as np

from aio_toolkit.data.audio import read_audio
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.errors import AioError
from aio_toolkit.tasks import get_task


def present_sources(utterance: Utterance) -> tuple[str, ...]:
    """The sources of its task that an utterance has, in the task's order."""
    task = get_task(utterance.task)
    return tuple(name for name in task.sources if name in utterance.targets or name == task.residual)


def read_input(utterance: Utterance, sample_rate: int) -> np.ndarray:
    """The input (S,) of an utterance; AioError if it is not as long as the data dir says."""
    return _read(utterance.wav, utterance, sample_rate)


def read_sources(utterance: Utterance, sample_rate: int) -> dict[str, np.ndarray]:
    """The waves (S,) of `present_sources`, in that order; the residual is the input less the targets."""
    waves = {name: _read(spec, utterance, sample_rate) for name, spec in utterance.targets.items()}
    residual = get_task(utterance.task).residual
    if residual is not None:
        waves[residual] = read_input(utterance, sample_rate) - sum(waves.values())
    return {name: waves[name] for name in present_sources(utterance)}


def _read(spec: str, utterance: Utterance, sample_rate: int) -> np.ndarray:
    wave = read_audio(spec, sample_rate, utterance.id)
    if len(wave) != utterance.num_samples:
        raise AioError(
            f"{utterance.id}: {spec} has {len(wave)} samples, utt2num_samples says {utterance.num_samples}. "
            "Run stage 1 again."
        )
    return wave
