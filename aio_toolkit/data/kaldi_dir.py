"""Data dirs as Kaldi and ESPnet leave them; what they lack of ours is made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aio_toolkit.data.audio import length_at
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.inputs import SPEAKERS
from aio_toolkit.data.layout import WAVES, Layout, names_waves
from aio_toolkit.data.segments import cut_recordings
from aio_toolkit.data.tables import Problems, Table, read_table
from aio_toolkit.errors import AioError
from aio_toolkit.progress import progress
from aio_toolkit.tasks import Task


@dataclass
class KaldiDir:
    """What a folder of Kaldi's or ESPnet's holds for a task.

    Attributes:
        utterances: with the task's name before their ids, so that folders of several tasks can be
            combined.
        left_out: ids of those that lack something, by the file that they are not in.
    """

    utterances: list[Utterance] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)


def read_kaldi_dir(
    directory: Path, task: Task, sample_rate: int, files: Mapping[str, str]
) -> KaldiDir:
    """Read `wav.scp`, `segments`, `utt2spk` or `spk2utt`, and the answers; look lengths up.

    Args:
        directory: the folder.
        task: that of all utterances, as such folders do not tell.
        sample_rate: Hz that lengths are to refer to.
        files: names of files that are not called as the task's answers and further inputs are,
            such as `{"speech": "spk1.scp"}`.

    Raises:
        AioError: a file is missing or malformed, a wave cannot be read, or nothing is left. Up to
            ten problems in one message.
    """
    problems = Problems(str(directory))
    waves = _waves(directory, problems)
    speakers = _speakers(directory, problems)
    layout = Layout.of({task.name: task})
    names = {**layout.files, **layout.inputs, **files}
    required = {*layout.required[task.name], *task.inputs}
    tables = _tables(directory, names, required, problems)
    problems.raise_any()

    found = KaldiDir()
    for id in progress(waves, f"read {directory}"):
        lacking = [names[name] for name in sorted(required) if id not in tables[name]]
        if lacking:
            found.left_out.setdefault(lacking[0], []).append(id)
            continue
        values = {name: table[id] for name, table in tables.items() if id in table}
        try:
            num_samples = length_at(waves[id], sample_rate)
        except AioError as error:
            problems.add(f"{id}: {error}")
            continue
        values |= {WAVES: waves[id], SPEAKERS: speakers.get(id, id)}
        found.utterances.append(_utterance(id, task, num_samples, values))
    if not found.utterances:
        problems.add(f"no id of {WAVES} is in every file that task {task.name} needs")
    problems.raise_any()
    return found


def _utterance(id: str, task: Task, num_samples: int, values: Mapping[str, str]) -> Utterance:
    """An utterance from what is known of it, by file, answer or further input."""
    return Utterance(
        id=id if id.startswith(f"{task.name}-") else f"{task.name}-{id}",
        task=task,
        speaker=values[SPEAKERS],
        wav=values[WAVES],
        num_samples=num_samples,
        answers={name: values[name] for name in task.targets if name in values},
        inputs={name: values[name] for name in task.inputs},
    )


def _tables(
    directory: Path, names: Mapping[str, str], required: set[str], problems: Problems
) -> dict[str, Table]:
    """What answers and further inputs are, by name and utterance."""
    tables: dict[str, Table] = {}
    for name, file in names.items():
        if (directory / file).is_file():
            holds_text = not names_waves(file)
            tables[name] = read_table(directory / file, problems, holds_text=holds_text)
        elif name in required:
            remedy = f"Name the file that holds it: --files {name}=FILE"
            problems.add(f"there is no {file}, which has the task's '{name}'. {remedy}")
    return tables


def _waves(directory: Path, problems: Problems) -> Table:
    """Utterances and what they are called: recordings, or segments of them."""
    if not (directory / WAVES).is_file():
        problems.add(f"there is no {WAVES}. Name the folder that holds it")
        problems.raise_any()
    recordings = read_table(directory / WAVES, problems)
    return cut_recordings(directory, recordings, problems)


def _speakers(directory: Path, problems: Problems) -> dict[str, str]:
    """Speakers by utterance, from either list."""
    if (directory / SPEAKERS).is_file():
        return read_table(directory / SPEAKERS, problems)
    speakers: dict[str, str] = {}
    if (directory / "spk2utt").is_file():
        for speaker, ids in read_table(directory / "spk2utt", problems).items():
            speakers |= dict.fromkeys(ids.split(), speaker)
    return speakers
