"""Sources of mixtures: recordings of one speaker, one event, one stem of a song, a noise or a room.

They come from a folder of their own, with `wav.scp`, `utt2spk` and `utt2num_samples`, or from the
training split.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aio_toolkit.data.datadir import Utterance, read_data_dir
from aio_toolkit.data.layout import WAVES, names_waves
from aio_toolkit.data.segments import SEGMENTS, cut_recordings
from aio_toolkit.data.tables import Problems, Table, read_table, write_table
from aio_toolkit.errors import AioError
from aio_toolkit.tasks import Task

SOURCE_FILES = (WAVES, "utt2spk", "utt2num_samples")


@dataclass(frozen=True)
class Source:
    """A recording that mixtures are made of.

    Attributes:
        id: its id.
        speaker: speaker, song, or class of an event.
        wav: the wave, as `aio_toolkit.data.audio.read_audio` takes it.
        num_samples: its length at the recipe's rate.
        part: name of the stem, of those that have one.
    """

    id: str
    speaker: str
    wav: str
    num_samples: int
    part: str = ""


@dataclass(frozen=True)
class SourceFolders:
    """Where sources are looked for.

    Attributes:
        data: folder of the data dirs.
        tasks: all tasks of the recipe, by name.
        sample_rate: Hz.
    """

    data: Path
    tasks: Mapping[str, Task]
    sample_rate: int

    def read(self, spec: str) -> list[Source]:
        """Sources by their name in a configuration.

        Args:
            spec: a folder of sources among the data dirs (`noise_train`), or `<split>:<task>`: of
                an audio task its targets, of any other its recordings.

        Raises:
            AioError: there is no such folder or task, or a file of it is wrong.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     rain = Source("rain-1", "rain", "rain.wav", 16000)
        ...     write_source_dir(Path(folder, "noise_train"), [rain])
        ...     SourceFolders(Path(folder), {}, 16000).read("noise_train") == [rain]
        True
        """
        split, colon, task = spec.partition(":")
        folder = self.data / split
        if not folder.is_dir():
            problem = f"there is no folder {folder} of sources '{spec}'"
            raise AioError(f"{problem}. Run stage 1, or name another one.")
        if not colon:
            return _read_folder(folder)
        if task not in self.tasks:
            known = ", ".join(self.tasks)
            raise AioError(f"sources '{spec}': unknown task '{task}'. Known tasks: {known}.")
        of_task = [u for u in read_data_dir(folder, self.tasks) if u.task.name == task]
        if not of_task:
            raise AioError(f"sources '{spec}': {folder} has no utterance of task '{task}'.")
        return [source for utterance in of_task for source in _sources_of(utterance)]


def write_source_dir(folder: Path, sources: list[Source]) -> None:
    """Write a folder of sources, sorted by id; `wav.scp` appears last."""
    ordered = sorted(sources, key=lambda source: source.id)
    for name in (WAVES, SEGMENTS):
        (folder / name).unlink(missing_ok=True)
    write_table(folder / "utt2spk", {source.id: source.speaker for source in ordered})
    lengths = {source.id: str(source.num_samples) for source in ordered}
    write_table(folder / "utt2num_samples", lengths)
    write_table(folder / WAVES, {source.id: source.wav for source in ordered})


def _read_folder(folder: Path) -> list[Source]:
    problems = Problems(str(folder))
    tables: dict[str, Table] = {}
    for name in SOURCE_FILES:
        if not (folder / name).is_file():
            problems.add(f"{name} is missing. Run stage 1 (data preparation) again.")
        else:
            tables[name] = read_table(folder / name, problems)
    problems.raise_any()
    tables[WAVES] = cut_recordings(folder, tables[WAVES], problems)
    problems.raise_any()

    waves, lengths = tables[WAVES], tables["utt2num_samples"]
    for name, table in tables.items():
        for id in sorted(table.keys() ^ waves.keys()):
            problems.add(f"{id} is not in both {name} and {WAVES}. Add the line, or drop it.")
    for id, length in lengths.items():
        if not length.isdecimal() or int(length) == 0:
            problems.add(f"utt2num_samples: {id} has '{length}' samples. Fix the line.")
    problems.raise_any()
    return [Source(id, tables["utt2spk"][id], waves[id], int(lengths[id])) for id in waves]


def _sources_of(utterance: Utterance) -> list[Source]:
    """The targets of an utterance where they are waves, else its recording."""
    task = utterance.task
    if not names_waves(task.kind.file_of(task.targets[0])):
        return [Source(utterance.id, utterance.speaker, utterance.wav, utterance.num_samples)]
    sources = []
    for target in task.targets:
        if target in utterance.answers:
            wav = utterance.answers[target]
            source = Source(
                utterance.id, utterance.speaker, wav, utterance.num_samples, part=target
            )
            sources.append(source)
    return sources
