"""Kaldi-style data dirs: one folder per split, one `id value` line per utterance and file.

`wav.scp`, `utt2task`, `utt2spk` and `utt2num_samples` list every utterance. Where there are
`segments`, these are the utterances, and `wav.scp` lists their recordings. Each target of a task
has a file of its own, which lists the utterances that have it: an `.scp` file of waves as long as
the input (`spk1.scp`), or a file of text (`text`, `text.fr`).
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from aio_toolkit.data.layout import REQUIRED_FILES, WAVES, Layout, names_waves, notice_unread
from aio_toolkit.data.segments import SEGMENTS, cut_recordings
from aio_toolkit.data.tables import Problems, Table, read_table, write_table
from aio_toolkit.errors import AioError
from aio_toolkit.tasks import Task


@dataclass(frozen=True)
class Utterance:
    """One line through all files of a data dir.

    Attributes:
        id: one word.
        task: what is asked of the input.
        speaker: speaker, song or recipe of events.
        wav: the input, as `aio_toolkit.data.audio.read_audio` takes it.
        num_samples: length of the input and of each wave among the answers, at the recipe's rate.
        answers: by target, a text or the name of a wave. Text may be that of another task, such as
            the transcript of speech to be translated.
        inputs: waves that the task hears besides, such as an enrolment, by the input's name.
    """

    id: str
    task: Task
    speaker: str
    wav: str
    num_samples: int
    answers: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)

    @property
    def waves(self) -> dict[str, str]:
        """All waves, the input first, by the file that names them."""
        waves = {WAVES: self.wav}
        for target in self.task.targets:
            file = self.task.kind.file_of(target)
            # Not every utterance has every target: a mixture of two sounds has no third one.
            if names_waves(file) and target in self.answers:
                waves[file] = self.answers[target]
        return waves


def write_data_dir(
    directory: Path | str,
    utterances: Iterable[Utterance],
    tasks: Mapping[str, Task],
) -> None:
    """Write a data dir, sorted by id, and remove files of an earlier version that it does not need.

    Args:
        directory: the data dir.
        utterances: what goes into it.
        tasks: all tasks of the recipe, by name.

    Raises:
        AioError: an utterance is inconsistent, an id appears twice, or there are no utterances.

    >>> import tempfile
    >>> from aio_toolkit.tasks import load_tasks
    >>> tasks = load_tasks(Path("egs/TEMPLATE/conf/tasks.yaml"))
    >>> made = [Utterance("asr-1", tasks["asr"], "ann", "1.wav", 16000, {"text": "good morning"})]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_data_dir(folder, made, tasks)
    ...     assert read_data_dir(folder, tasks) == made
    ...     Path(folder, "text").read_text()
    'asr-1 good morning\\n'
    """
    directory = Path(directory)
    layout = Layout.of(tasks)
    utterances = sorted(utterances, key=lambda utterance: utterance.id)
    _check_writable(directory, utterances, layout)

    tables = _to_tables(utterances, layout)
    # wav.scp goes first and comes back last: a folder without it is unfinished.
    wave_table = tables.pop(WAVES)
    for name in (WAVES, SEGMENTS):
        (directory / name).unlink(missing_ok=True)
    for name in layout.all_files:
        if name in tables:
            write_table(directory / name, tables[name])
        else:
            (directory / name).unlink(missing_ok=True)
    write_table(directory / WAVES, wave_table)


def read_data_dir(directory: Path | str, tasks: Mapping[str, Task]) -> list[Utterance]:
    """Read a data dir, in the order of its ids. Audio is not touched.

    Args:
        directory: the data dir.
        tasks: all tasks of the recipe, by name; files of their targets are read.

    Raises:
        AioError: a file is missing or malformed, or the files disagree. Up to ten problems in one
            message.
    """
    directory = Path(directory)
    if not (directory / WAVES).is_file():
        remedy = "Run stage 1 (data preparation)."
        raise AioError(f"{directory} has no {WAVES}, so it is no finished data dir. {remedy}")
    layout = Layout.of(tasks)
    notice_unread(directory, tuple(layout.all_files))
    problems = Problems(str(directory))

    # Every step takes for granted what the one before has checked.
    tables = _read_tables(directory, layout, problems)
    problems.raise_any()
    _check_ids(tables, problems)
    problems.raise_any()

    found = [_assemble(id, tables, layout, problems) for id in tables[WAVES]]
    utterances = [utterance for utterance in found if utterance is not None]
    for utterance in utterances:
        _check_utterance(utterance, layout, problems)
    if not found:
        problems.add(f"{WAVES} lists no utterances. Run stage 1 (data preparation) again.")
    problems.raise_any()
    return utterances


def _read_tables(directory: Path, layout: Layout, problems: Problems) -> dict[str, Table]:
    """The files that are there, by name."""
    tables = {}
    for name in layout.all_files:
        path = directory / name
        if path.exists():
            holds_text = name not in REQUIRED_FILES and not names_waves(name)
            tables[name] = read_table(path, problems, holds_text=holds_text)
        elif name in REQUIRED_FILES:
            problems.add(f"{name} is missing. Run stage 1 (data preparation) again.")
    tables[WAVES] = cut_recordings(directory, tables[WAVES], problems)
    return tables


def _answer(target: str, utterance: Utterance) -> str | None:
    return utterance.answers.get(target)


def _input(name: str, utterance: Utterance) -> str | None:
    return utterance.inputs.get(name)


def _to_tables(utterances: Sequence[Utterance], layout: Layout) -> dict[str, Table]:
    """The files' contents by name; files without lines are left out."""
    columns: dict[str, Callable[[Utterance], str | None]] = {
        WAVES: lambda u: u.wav,
        "utt2task": lambda u: u.task.name,
        "utt2spk": lambda u: u.speaker,
        "utt2num_samples": lambda u: str(u.num_samples),
    }
    for target, file in layout.files.items():
        columns[file] = functools.partial(_answer, target)
    for name, file in layout.inputs.items():
        columns[file] = functools.partial(_input, name)

    tables: dict[str, Table] = {}
    for file, column in columns.items():
        for utterance in utterances:
            value = column(utterance)
            if value is not None:
                tables.setdefault(file, {})[utterance.id] = value
    return tables


def _assemble(
    id: str,
    tables: Mapping[str, Table],
    layout: Layout,
    problems: Problems,
) -> Utterance | None:
    """The utterance of an id; None where its task is unknown."""
    task = tables["utt2task"][id]
    if task not in layout.tasks:
        known = ", ".join(layout.tasks)
        problems.add(f"utt2task: {id} has unknown task '{task}'. Known tasks: {known}.")
        return None
    num_samples = tables["utt2num_samples"][id]
    if not num_samples.isdecimal():
        found = f"{id} has '{num_samples}', expected a whole number of samples"
        problems.add(f"utt2num_samples: {found}. Fix the line.")
        # Any length will do: reading ends with this problem, and one message about it is enough.
        num_samples = "1"

    answers = {}
    for target, file in layout.files.items():
        if id in tables.get(file, ()):
            answers[target] = tables[file][id]
    inputs = {}
    for name in layout.tasks[task].inputs:
        if id in tables.get(layout.inputs[name], ()):
            inputs[name] = tables[layout.inputs[name]][id]
    return Utterance(
        id=id,
        task=layout.tasks[task],
        speaker=tables["utt2spk"][id],
        wav=tables[WAVES][id],
        num_samples=int(num_samples),
        answers=answers,
        inputs=inputs,
    )


def _check_ids(tables: Mapping[str, Table], problems: Problems) -> None:
    """Every id is in all required files, and no file lists an id that has no wave."""
    with_wave = tables[WAVES].keys()
    for name, table in tables.items():
        listed = table.keys()
        for id in sorted(listed - with_wave):
            remedy = "Add its wave, or remove the line."
            problems.add(f"{id} is in {name} but not in {WAVES}. {remedy}")
        missing = with_wave - listed if name in REQUIRED_FILES else ()
        for id in sorted(missing):
            remedy = "Add the line, or drop the utterance."
            problems.add(f"{id} is in {WAVES} but not in {name}. {remedy}")


def _check_writable(directory: Path, utterances: Sequence[Utterance], layout: Layout) -> None:
    """Refuse what could not be read back; `utterances` are sorted by id."""
    problems = Problems(f"cannot write {directory}")
    for utterance in utterances:
        _check_utterance(utterance, layout, problems)
    for previous, utterance in pairwise(utterances):
        if previous.id == utterance.id:
            problems.add(f"utterance {utterance.id} appears twice. Make the ids unique.")
    if not utterances:
        problems.add("there are no utterances. Check the corpus that they are made from.")
    problems.raise_any()


def _check_utterance(utterance: Utterance, layout: Layout, problems: Problems) -> None:
    id, task = utterance.id, utterance.task.name
    # White space separates the id from the value.
    if id.split() != [id]:
        problems.add(f"id '{id}' holds white space or nothing. Use another id.")
    if task not in layout.tasks:
        known = ", ".join(layout.tasks)
        problems.add(f"{id} has unknown task '{task}'. Known tasks: {known}.")
        return
    if utterance.num_samples <= 0:
        found = f"{id} has {utterance.num_samples} samples"
        problems.add(f"utt2num_samples: {found}. Drop the utterance.")
    _check_answers(utterance, layout, problems)

    values = {"utt2spk": utterance.speaker, WAVES: utterance.wav, **utterance.inputs}
    values |= utterance.answers
    for name, value in values.items():
        # Of silence, nothing is the right transcript.
        is_text = name in layout.files and not names_waves(layout.files[name])
        if not (is_text and not value) and not _is_one_line(value):
            found = f"{id} has the value {value!r}, expected one line of text"
            problems.add(f"{name}: {found}. Fix it.")


def _is_one_line(value: str) -> bool:
    if not value.strip():
        return False
    return "\n" not in value and "\r" not in value


def _check_answers(utterance: Utterance, layout: Layout, problems: Problems) -> None:
    """All required targets are there, and no wave of another task is."""
    id, task = utterance.id, utterance.task
    for target in layout.required[task.name]:
        if target not in utterance.answers:
            found = f"{id} of task {task.name} is not in {layout.files[target]}"
            problems.add(f"{found}. Add its target, or drop the utterance.")

    for name in task.inputs:
        if name not in utterance.inputs:
            found = f"{id} of task {task.name} is not in {layout.inputs[name]}"
            problems.add(f"{found}. Add what it hears besides, or drop the utterance.")

    for target in utterance.answers:
        file = layout.files.get(target)
        if file is None:
            known = ", ".join(layout.files)
            found = f"{id} has the answer '{target}', which no task reads"
            problems.add(f"{found}. Known answers: {known}.")
        # Nobody would read such a wave: most likely the line has the wrong id.
        elif names_waves(file) and target not in task.targets:
            found = f"{id} is of task {task.name}, which has no such target"
            problems.add(f"{file}: {found}. Remove the line.")
