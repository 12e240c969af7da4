"""Recordings to be answered: a data dir of which `wav.scp` and `utt2task` are enough."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from aio_toolkit.data.audio import length_at
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.layout import WAVES, Layout, notice_unread
from aio_toolkit.data.segments import cut_recordings
from aio_toolkit.data.tables import Problems, Table, read_table
from aio_toolkit.errors import AioError
from aio_toolkit.tasks import Task

SPEAKERS, LENGTHS, TASKS = "utt2spk", "utt2num_samples", "utt2task"


def read_inputs(directory: Path, tasks: Mapping[str, Task], sample_rate: int) -> list[Utterance]:
    """Read what a model needs to answer, in the order of the ids; answers that are there are not.

    Args:
        directory: `wav.scp`, with or without `segments`, `utt2task`, files of the tasks' further
            inputs, and, where they are there, `utt2spk` and `utt2num_samples`. Without the latter,
            lengths are looked up.
        tasks: all tasks that utterances may have, by name.
        sample_rate: Hz that lengths refer to.

    Raises:
        AioError: a file is missing or malformed, the files disagree, a task is unknown, or a wave
            whose length has to be looked up cannot be read.

    >>> import tempfile
    >>> asr = Task("asr", "speech recognition", "text", ("text",), ("wer",))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, line in {"wav.scp": "a 1.wav", TASKS: "a asr", LENGTHS: "a 16000"}.items():
    ...         _ = Path(folder, name).write_text(line + "\\n")
    ...     [utterance] = read_inputs(Path(folder), {"asr": asr}, 16000)
    >>> utterance.id, utterance.task.name, utterance.num_samples
    ('a', 'asr', 16000)
    """
    if not (directory / WAVES).is_file():
        remedy = "Write one: a line 'id path' for each recording."
        raise AioError(f"{directory} has no {WAVES}. {remedy}")
    layout = Layout.of(tasks)
    notice_unread(directory, tuple(layout.all_files))
    problems = Problems(str(directory))
    if not (directory / TASKS).is_file():
        remedy = f"Write one: a line 'id task' for each line of {WAVES}."
        problems.add(f"{TASKS} is missing. {remedy}")
    problems.raise_any()

    names = (WAVES, TASKS, SPEAKERS, LENGTHS, *layout.inputs.values())
    tables: dict[str, Table] = {}
    for name in names:
        if (directory / name).is_file():
            tables[name] = read_table(directory / name, problems)
    tables[WAVES] = cut_recordings(directory, tables[WAVES], problems)
    problems.raise_any()

    found = [_assemble(id, tables, layout, problems) for id in tables[WAVES]]
    if not found:
        problems.add(f"{WAVES} lists no recordings. Add lines 'id path'.")
    problems.raise_any()
    lengths = tables.get(LENGTHS, {})
    return [_with_length(utterance, lengths, sample_rate) for utterance in found if utterance]


def _assemble(
    id: str, tables: Mapping[str, Table], layout: Layout, problems: Problems
) -> Utterance | None:
    """An utterance without its length; None where something is wrong with it."""
    name = tables[TASKS].get(id)
    if name is None:
        problems.add(f"{id} is in {WAVES} but not in {TASKS}. Add the line 'id task'.")
        return None
    if name not in layout.tasks:
        known = ", ".join(layout.tasks)
        problems.add(f"{TASKS}: {id} has unknown task '{name}'. Known tasks: {known}.")
        return None
    task = layout.tasks[name]
    inputs = {}
    for further in task.inputs:
        file = layout.inputs[further]
        if id in tables.get(file, ()):
            inputs[further] = tables[file][id]
        else:
            problems.add(f"{id} of task {name} is not in {file}. Add what it hears besides.")
    return Utterance(
        id=id,
        task=task,
        speaker=tables.get(SPEAKERS, {}).get(id, id),
        wav=tables[WAVES][id],
        num_samples=0,
        inputs=inputs,
    )


def _with_length(utterance: Utterance, lengths: Mapping[str, str], sample_rate: int) -> Utterance:
    told = lengths.get(utterance.id)
    if told is not None and told.isdecimal() and int(told) > 0:
        return dataclasses.replace(utterance, num_samples=int(told))
    try:
        num_samples = length_at(utterance.wav, sample_rate)
    except AioError as error:
        raise AioError(f"{utterance.id}: {error}") from None
    return dataclasses.replace(utterance, num_samples=num_samples)
