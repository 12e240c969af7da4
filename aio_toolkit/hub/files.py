"""Answers to files, in files."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from aio_toolkit.errors import AioError, shown
from aio_toolkit.hub.model import Model
from aio_toolkit.progress import progress

# Endings of audio files that are looked for in folders.
ENDINGS = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64")


def answer_files(model: Model, task: str, named: Sequence[Path], out: Path | None) -> None:
    """Answer recordings one by one; those that cannot be read are named at the end.

    The answer to `talk/a.wav` of a folder `talk` is in `out/a.wav/`, to a file `a.wav` as well.

    Args:
        model: a finished model.
        task: one of its tasks.
        named: audio files, and folders that hold some.
        out: folder of the answers; None prints texts.

    Raises:
        AioError: nothing is there to answer, two answers would have one name, or a recording could
            not be answered; the others are.
    """
    files = find_files(named)
    if out is None and not model.answerer(task).can_be_printed:
        raise AioError(f"the answers to task '{task}' are waves. Give a folder for them: --out.")
    problems = []
    with progress(files.items(), "answer") as bar:
        for name, path in bar:
            try:
                answer = model.answer(task, path)
            except AioError as error:
                problems.append(str(error))
                continue
            if out is None:
                bar.write(f"{name}\t{answer}")
            else:
                answer.save(out / name)
    if problems:
        failed = f"{len(problems)} of {len(files)} recordings could not be answered"
        raise AioError(f"{failed}: {shown(problems)}")


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
