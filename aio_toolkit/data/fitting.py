"""References that are some samples longer or shorter than their mixture. Letters: S samples."""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from aio_toolkit.data.audio import length_at, read_audio
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.wav_writer import Subtype, write_wav
from aio_toolkit.errors import AioError
from aio_toolkit.files import file_name


def fit_targets(
    utterances: Iterable[Utterance], sample_rate: int, out: Path, most: float
) -> Iterator[Utterance]:
    """Cut references that are longer than their mixture, and add silence to shorter ones.

    Args:
        utterances: of a data dir.
        sample_rate: Hz of the recipe, and of the waves that are written.
        out: folder of these.
        most: seconds by which lengths may differ; beyond that, something else is wrong.

    Yields:
        The utterances with their true lengths and the waves that fit; those written are printed.

    Raises:
        AioError: a wave cannot be read, or differs by more.

    >>> import tempfile
    >>> from aio_toolkit.tasks import Task
    >>> enh = Task("enh", "", "audio", ("speech",), ("si_sdr",))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, size in {"mix": 800, "dry": 790}.items():
    ...         write_wav(Path(folder, f"{name}.wav"), np.zeros(size), 8000)
    ...     waves = f"{folder}/mix.wav", 800, {"speech": f"{folder}/dry.wav"}
    ...     one = Utterance("enh-1", enh, "ann", *waves)
    ...     (fitted,) = fit_targets([one], 8000, Path(folder), most=0.1)
    ...     length_at(fitted.answers["speech"], 8000)
    enh-1 speech: 790 samples, now 800
    800
    """
    for utterance in utterances:
        size = length_at(utterance.wav, sample_rate)
        answers = dict(utterance.answers)
        for target, file in _waves_of(utterance).items():
            spec = answers[target]
            found = length_at(spec, sample_rate)
            if abs(found - size) > most * sample_rate:
                problem = f"{file}: {utterance.id}: {spec} has {found} samples, its input {size}"
                raise AioError(f"{problem}. Is it of another recording? Fix it, or raise --most.")
            if found != size:
                path = out / f"{file_name(utterance.id)}_{target}.wav"
                wave_S = np.zeros(size, np.float32)
                read_S = read_audio(spec, sample_rate, utterance.id)[:size]
                wave_S[: len(read_S)] = read_S
                write_wav(path, wave_S, sample_rate, Subtype.float_32)
                print(f"{utterance.id} {target}: {found} samples, now {size}")
                answers[target] = str(path)
        yield dataclasses.replace(utterance, num_samples=size, answers=answers)


def _waves_of(utterance: Utterance) -> dict[str, str]:
    """Files of the references, by target."""
    files = {target: utterance.task.kind.file_of(target) for target in utterance.answers}
    return {target: file for target, file in files.items() if file in utterance.waves}
