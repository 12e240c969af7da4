"""Answers to files, in files."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from aio_toolkit.errors import AioError, shown
from aio_toolkit.files import read_json, sha256_file, write_json
from aio_toolkit.hub.formats import Format
from aio_toolkit.hub.model import Model
from aio_toolkit.progress import progress

# What an answer was made from, in its folder.
STAMP = "answer.json"
# Endings of audio files that are looked for in folders.
ENDINGS = (
    *(".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64", ".sph"),
    *(".m4a", ".mp4", ".aac", ".wma", ".webm", ".mkv", ".mov"),
)


def answer_files(
    model: Model,
    task: str,
    named: Sequence[Path],
    out: Path | None,
    format: Format = Format.txt,
) -> None:
    """Answer recordings one by one; those that cannot be read are named at the end.

    The answer to `talks/sub/a.wav` of a folder `talks` is in `out/<task>/sub/a.wav/`. One that is
    there, of the same recording by the same model, is kept.

    Args:
        model: a finished model.
        task: one of its tasks.
        named: audio files, and folders that hold some.
        out: folder of the answers; None prints texts.
        format: of files of words.

    Raises:
        AioError: nothing is there to answer, two answers would have one name, or a recording could
            not be answered; the others are.
    """
    files = find_files(named)
    is_text = model.answerer(task).can_be_printed
    if out is None and not is_text:
        raise AioError(f"the answers to task '{task}' are waves. Give a folder for them: --out.")
    # Waves have one format.
    options = {"format": str(format)} if is_text else {}
    problems = []
    with progress(files.items(), "answer") as bar:
        for name, path in bar:
            try:
                if out is None:
                    bar.write(f"{name}\t{model.answer(task, path)}")
                else:
                    _answer_into(out / task / name, model, task, path, options)
            except AioError as error:
                problems.append(str(error))
    if problems:
        failed = f"{len(problems)} of {len(files)} recordings could not be answered"
        raise AioError(f"{failed}: {shown(problems)}")


def _answer_into(
    folder: Path, model: Model, task: str, path: Path, options: dict[str, str]
) -> None:
    """Write an answer, unless it is there."""
    stamp = folder / STAMP
    recording = sha256_file(path) if path.is_file() else ""
    made_from = {"model": model.sha256, "recording": recording, **options}
    if stamp.is_file() and read_json(stamp) == made_from:
        return
    answer = model.answer(task, path)
    # Whoever is killed while writing leaves an answer that does not look finished.
    stamp.unlink(missing_ok=True)
    answer.save(folder, **options)
    write_json(stamp, made_from)


def find_files(named: Iterable[Path]) -> dict[str, Path]:
    """The audio files that are meant, by the name of their answer.

    Raises:
        AioError: there are none, or two would have one name.
    """
    files: dict[str, Path] = {}
    for path in named:
        found = {path.name: path}
        if path.is_dir():
            inside = sorted(path.rglob("*"))
            found = {
                str(file.relative_to(path)): file
                for file in inside
                # macOS puts files of this name beside those of other systems.
                if file.suffix.lower() in ENDINGS and not file.name.startswith("._")
            }
            if not found:
                listed = ", ".join(ENDINGS)
                raise AioError(f"{path} holds no audio files ({listed}). Name another folder.")
        for name, file in found.items():
            if name in files:
                problem = f"{files[name]} and {file} would have one answer, {name}"
                raise AioError(f"{problem}. Answer them apart.")
            files[name] = file
    return files
