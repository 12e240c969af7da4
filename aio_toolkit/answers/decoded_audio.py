"""Decoded waves of a task on disk.

An output (plain, filtered, ...) has a folder with `wav/<id>_<target>.wav`, and `<target>.scp` lists
the waves of all utterances. `done/<id>` says that all waves of an utterance are there, and lists
them with their sizes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from aio_toolkit.answers.lists import read_list, write_list
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.wav_writer import Subtype, write_wav
from aio_toolkit.errors import AioError
from aio_toolkit.files import file_name, read_json, write_json

WAVES_FOLDER, FLAGS_FOLDER = "wav", "done"

# The paths of an utterance's waves, by output, then by target.
WavePaths = dict[str, dict[str, str]]


@dataclass(frozen=True)
class DecodedAudio:
    """The answer to one utterance.

    Attributes:
        outputs: waves (S,) by output, then by target.
        sample_rate: Hz.
    """

    outputs: dict[str, dict[str, torch.Tensor]]
    sample_rate: int


def write_waves(folder: Path, utterance: Utterance, answer: DecodedAudio) -> None:
    """Write all waves of an utterance, then say so."""
    written = {}
    for output, waves in answer.outputs.items():
        for target, wave_S in waves.items():
            path = _wave_path(folder / output, utterance, target)
            # Floats: the codec may overshoot full scale, and clipping would be scored as the
            # model's error.
            write_wav(path, wave_S.numpy(), answer.sample_rate, subtype=Subtype.float_32)
            written[str(path.relative_to(folder))] = path.stat().st_size
    # Last: a killed process leaves an utterance without its flag.
    write_json(_flag(folder, utterance), written)


def has_all_waves(folder: Path, utterance: Utterance) -> bool:
    """Whether all waves of an utterance are written, and are as long as they were."""
    try:
        written = read_json(_flag(folder, utterance))
        return all((folder / name).stat().st_size == size for name, size in written.items())
    except (AioError, OSError):
        return False


def list_waves(folder: Path, utterances: Sequence[Utterance]) -> None:
    """Write `<target>.scp` of every output, for utterances of one task."""
    targets = utterances[0].task.targets if utterances else ()
    # The decoder knows what its outputs are called; here they are what has been written.
    for waves in folder.glob(f"*/{WAVES_FOLDER}"):
        output = waves.parent
        for target in targets:
            table = {}
            for utterance in utterances:
                path = _wave_path(output, utterance, target)
                if path.is_file():
                    table[utterance.id] = str(path)
            write_list(output / f"{target}.scp", table)


def find_waves(folder: Path, utterances: Sequence[Utterance]) -> list[WavePaths]:
    """The waves of each utterance of one task, by the lists of every output.

    >>> import tempfile
    >>> from aio_toolkit.tasks import Task
    >>> task = Task("enh", "", "audio", ("speech",), ("si_sdr",))
    >>> utterance = Utterance("enh-1", task, "ann", "1.wav", 100, {})
    >>> answer = DecodedAudio({"codec": {"speech": torch.zeros(100)}}, 16000)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_waves(Path(folder), utterance, answer)
    ...     list_waves(Path(folder), [utterance])
    ...     (found,) = find_waves(Path(folder), [utterance])
    >>> Path(found["codec"]["speech"]).name
    'enh-1_speech.wav'
    """
    lists = {}
    targets = utterances[0].task.targets if utterances else ()
    for target in targets:
        for path in folder.glob(f"*/{target}.scp"):
            lists[path.parent.name, target] = read_list(path)
    outputs = sorted({output for output, _ in lists})

    found = []
    for utterance in utterances:
        # Outputs that lack the utterance are there too, for the reader to see.
        paths: WavePaths = {output: {} for output in outputs}
        for (output, target), table in lists.items():
            if utterance.id in table:
                paths[output][target] = table[utterance.id]
        found.append(paths)
    return found


def _wave_path(output: Path, utterance: Utterance, target: str) -> Path:
    name = f"{file_name(utterance.id)}_{target}.wav"
    return output / WAVES_FOLDER / name


def _flag(folder: Path, utterance: Utterance) -> Path:
    return folder / FLAGS_FOLDER / file_name(utterance.id)
