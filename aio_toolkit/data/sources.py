"""The waves of an utterance, checked against its data dir. Letters: S samples."""

import numpy as np

from aio_toolkit.data.audio import read_audio
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.errors import AioError


def read_input(utterance: Utterance, sample_rate: int) -> np.ndarray:
    """The input (S,) of an utterance; AioError if it is not as long as the data dir says."""
    return read_wave(utterance.wav, utterance, sample_rate)


def read_wave(spec: str, utterance: Utterance, sample_rate: int) -> np.ndarray:
    """A wave (S,) as long as an utterance's input; AioError if it is not."""
    wave_S = read_audio(spec, sample_rate, utterance.id)
    if len(wave_S) != utterance.num_samples:
        raise AioError(
            f"{utterance.id}: {spec} has {len(wave_S)} samples, utt2num_samples says "
            f"{utterance.num_samples}. Run stage 1 again."
        )
    return wave_S
