"""Kaldi-style data dirs: one folder per split, one `id value` line per utterance and file."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from aio_toolkit.data.audio import notice_resampling, read_audio, read_header, resampled_length
from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path
from aio_toolkit.progress import progress
from aio_toolkit.tasks import AUDIO_TARGETS, TASKS, TEXT_FILES

MAX_SHOWN = 10
REQUIRED_FILES = ("utt2task", "utt2spk", "utt2num_samples", "wav.scp")
TARGET_FILES = tuple(f"{target}.scp" for target in AUDIO_TARGETS)
KNOWN_FILES = REQUIRED_FILES + TEXT_FILES + TARGET_FILES


@dataclass(frozen=True)
class Utterance:
    """One line through all files of a data dir.

    Attributes:
        id: starts with the task's name and a hyphen.
        task: name in `aio_toolkit.tasks.TASKS`.
        speaker: speaker, song or recipe of events.
        wav: the input, as `aio_toolkit.data.audio.read_audio` takes it.
        num_samples: length of the input and of each audio target, at the recipe's rate.
        texts: "text" (English) and "text.fr" (French), where present.
        targets: audio target name to its wave, where present.
    """

    id: str
    task: str
    speaker: str
    wav: str
    num_samples: int
    texts: dict[str, str] = field(default_factory=dict)
    targets: dict[str, str] = field(default_factory=dict)


def required_targets(task: str) -> tuple[str, ...]:
    """The answers that every utterance of `task` must have.

    A mixture to be separated by permutation has two sources at least; the files of further sources list only
    the utterances that have them. Named stems are always there, if silent.
    """
    targets = TASKS[task].targets
    return targets[:2] if TASKS[task].match == "permutation" else targets


def write_data_dir(directory: Path | str, utterances: Iterable[Utterance]) -> None:
    """Write a data dir, sorted by id; files of an earlier version that are not needed any more are removed.

    `wav.scp` goes first and comes back last: a folder without it is unfinished.

    Raises:
        AioError: an utterance is inconsistent, an id comes twice, or there are no utterances.
    """
    directory = Path(directory)
    utterances = sorted(utterances, key=lambda utterance: utterance.id)
    problems = _Problems(f"cannot write {directory}")
    for utterance in utterances:
        _check_utterance(utterance, problems)
    for previous, utterance in zip(utterances, utterances[1:], strict=False):
        if previous.id == utterance.id:
            problems.add(f"utterance {utterance.id} comes twice. Make the ids unique.")
    if not utterances:
        problems.add("there are no utterances. Check the corpus that they are made from.")
    problems.raise_any()

    tables = _tables(utterances)
    (directory / "wav.scp").unlink(missing_ok=True)
    for name in KNOWN_FILES:
        if name not in tables:
            (directory / name).unlink(missing_ok=True)
    for name in sorted(tables, key=lambda name: name == "wav.scp"):
        with atomic_path(directory / name) as temporary:
            lines = "".join(f"{key} {value}\n" for key, value in tables[name].items())
            temporary.write_text(lines, encoding="utf-8", newline="\n")


def read_data_dir(directory: Path | str) -> list[Utterance]:
    """Read a data dir, in the order of its ids. Audio is not touched.

    Raises:
        AioError: a file is missing or malformed, or the files disagree. Up to ten problems in one message.
    """
    directory = Path(directory)
    if not (directory / "wav.scp").is_file():
        raise AioError(f"{directory} has no wav.scp, so it is no finished data dir. Run stage 1 (data preparation).")
    problems = _Problems(str(directory))
    tables = {name: _read_table(directory / name, problems) for name in KNOWN_FILES if (directory / name).exists()}
    for name in REQUIRED_FILES:
        if name not in tables:
            problems.add(f"{name} is missing. Run stage 1 (data preparation) again.")
    problems.raise_any()
    _check_ids(tables, problems)
    problems.raise_any()
    utterances = [_assemble(id, tables, problems) for id in tables["wav.scp"]]
    for utterance in utterances:
        _check_utterance(utterance, problems)
    if not utterances:
        problems.add("wav.scp lists no utterances. Run stage 1 (data preparation) again.")
    problems.raise_any()
    return utterances


def validate_data_dir(directory: Path | str, sample_rate: int, check_audio: bool = True) -> None:
    """Check a data dir and, unless told otherwise, all audio that it names.

    Of PCM files the header is read, of float files, pipes and archives the samples. Lengths are compared with
    `utt2num_samples`.

    Raises:
        AioError: with up to ten problems and the count of all.
    """
    utterances = read_data_dir(directory)
    if not check_audio:
        return
    problems = _Problems(str(directory))
    for utterance in progress(utterances, f"check {directory}"):
        for name, spec in {"wav": utterance.wav, **utterance.targets}.items():
            try:
                num_samples = _checked_length(spec, sample_rate)
            except AioError as error:
                problems.add(f"{name}.scp: {utterance.id}: {error}")
                continue
            if num_samples != utterance.num_samples:
                problems.add(
                    f"{name}.scp: {utterance.id}: {spec} has {num_samples} samples at {sample_rate} Hz, "
                    f"utt2num_samples says {utterance.num_samples}. Cut or pad the wave, or mend that line."
                )
    problems.raise_any()


def _checked_length(spec: str, sample_rate: int) -> int:
    header = read_header(spec)
    if header is None or header.may_hold_nan:
        return len(read_audio(spec, sample_rate))
    if header.sample_rate != sample_rate:
        notice_resampling(header.sample_rate, sample_rate)
    return resampled_length(header.num_samples, header.sample_rate, sample_rate)


class _Problems:
    """Collects problems, so that one run tells all of them."""

    def __init__(self, title: str):
        self.title = title
        self.messages: list[str] = []

    def add(self, message: str) -> None:
        self.messages.append(message)

    def raise_any(self) -> None:
        """Raise AioError with the first problems and the count of all, if there are any."""
        count = len(self.messages)
        if count == 1:
            raise AioError(f"{self.title}: {self.messages[0]}")
        if count > 1:
            lines = self.messages[:MAX_SHOWN]
            if count > MAX_SHOWN:
                lines = [*lines, f"... and {count - MAX_SHOWN} more"]
            raise AioError(f"{self.title}: {count} problems:\n  " + "\n  ".join(lines))


def _read_table(path: Path, problems: _Problems) -> dict[str, str]:
    """`id value` lines; problems are collected with file and line."""
    data = path.read_bytes()
    try:
        content = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problems.add(
            f"{path.name} line {line}: byte 0x{data[error.start]:02x} is not UTF-8. "
            f"Convert the file, for instance: iconv -f latin1 -t utf-8 {path}"
        )
        return {}
    if content.startswith("\ufeff"):
        problems.add(f"{path.name} line 1: starts with a byte order mark. Save it as UTF-8 without BOM.")
        return {}
    if "\r" in content:
        line = content.count("\n", 0, content.index("\r")) + 1
        problems.add(f"{path.name} line {line}: ends in CR LF (Windows). Run: sed -i 's/\\r$//' {path}")
        return {}
    return _parse_lines(path.name, content, problems)


def _parse_lines(name: str, content: str, problems: _Problems) -> dict[str, str]:
    table: dict[str, str] = {}
    previous, is_sorted = "", True
    lines = content.split("\n")
    if lines[-1] == "":
        lines.pop()
    for number, line in enumerate(lines, start=1):
        id, *value = line.split(None, 1)[:2] if line.strip() else ("",)
        if not id:
            problems.add(f"{name} line {number}: is empty. Remove it.")
        elif not value:
            what = "an empty transcript" if name in TEXT_FILES else "no value, expected 'id value'"
            remedy = "Drop the utterance from all files." if name in TEXT_FILES else "Mend the line."
            problems.add(f"{name} line {number}: {id} has {what}. {remedy}")
        elif id in table:
            problems.add(f"{name} line {number}: {id} comes twice. Make the ids unique.")
        elif id < previous and is_sorted:
            is_sorted = False  # told once: the other lines need the same remedy
            problems.add(f"{name} line {number}: {id} follows {previous}: not sorted. Sort with: LC_ALL=C sort")
        table[id] = value[0].strip() if value else ""
        previous = max(previous, id)
    return table


def _check_ids(tables: dict[str, dict[str, str]], problems: _Problems) -> None:
    """Every id is in all required files, and no file lists an id that has no wave."""
    waves = tables["wav.scp"].keys()
    for name, table in tables.items():
        for id in sorted(table.keys() - waves):
            problems.add(f"{id} is in {name} but not in wav.scp. Add its wave, or remove the line.")
        if name in REQUIRED_FILES:
            for id in sorted(waves - table.keys()):
                problems.add(f"{id} is in wav.scp but not in {name}. Add the line, or drop the utterance.")


def _assemble(id: str, tables: dict[str, dict[str, str]], problems: _Problems) -> Utterance:
    num_samples = tables["utt2num_samples"][id]
    if not num_samples.isdecimal():
        problems.add(f"utt2num_samples: {id} has '{num_samples}', expected a whole number of samples. Mend the line.")
        num_samples = "1"
    return Utterance(
        id=id,
        task=tables["utt2task"][id],
        speaker=tables["utt2spk"][id],
        wav=tables["wav.scp"][id],
        num_samples=int(num_samples),
        texts={name: tables[name][id] for name in TEXT_FILES if id in tables.get(name, ())},
        targets={name: tables[f"{name}.scp"][id] for name in AUDIO_TARGETS if id in tables.get(f"{name}.scp", ())},
    )


def _check_utterance(utterance: Utterance, problems: _Problems) -> None:
    id, task = utterance.id, utterance.task
    if len(id.split()) != 1 or id != id.strip():
        problems.add(f"id '{id}' holds white space or nothing. Use another id.")
    if task not in TASKS:
        problems.add(f"utt2task: {id} has unknown task '{task}'. Known tasks: {', '.join(TASKS)}.")
        return
    if not id.startswith(f"{task}-"):
        problems.add(f"utt2task: {id} is of task {task} but its id does not start with '{task}-'. Rename it.")
    if utterance.num_samples <= 0:
        problems.add(f"utt2num_samples: {id} has {utterance.num_samples} samples. Drop the utterance.")
    present = utterance.texts | utterance.targets
    for target in required_targets(task):
        if target not in present:
            file = target if target in TEXT_FILES else f"{target}.scp"
            problems.add(f"{id} of task {task} is not in {file}. Add its target, or drop the utterance.")
    for name in utterance.texts.keys() - set(TEXT_FILES):
        problems.add(f"{id} has the text '{name}', which no task reads. Known texts: {', '.join(TEXT_FILES)}.")
    for target in utterance.targets:
        if target not in TASKS[task].targets:
            problems.add(f"{target}.scp: {id} is of task {task}, which has no such target. Remove the line.")
    values = [("utt2spk", utterance.speaker), ("wav.scp", utterance.wav), *present.items()]
    for name, value in values:
        if not value.strip() or "\n" in value or "\r" in value:
            problems.add(f"{name}: {id} has the value {value!r}, expected one line of text. Mend it.")


def _tables(utterances: list[Utterance]) -> dict[str, dict[str, str]]:
    """File name to `id value` pairs, in the order of the utterances; files without lines are left out."""
    columns: dict[str, Callable[[Utterance], str | None]] = {
        "wav.scp": lambda u: u.wav,
        "utt2task": lambda u: u.task,
        "utt2spk": lambda u: u.speaker,
        "utt2num_samples": lambda u: str(u.num_samples),
    }
    columns |= {name: lambda u, name=name: u.texts.get(name) for name in TEXT_FILES}
    columns |= {f"{name}.scp": lambda u, name=name: u.targets.get(name) for name in AUDIO_TARGETS}
    tables = {
        name: {u.id: value for u in utterances if (value := column(u)) is not None} for name, column in columns.items()
    }
    return {name: table for name, table in tables.items() if table}
