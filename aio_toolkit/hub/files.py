"""Answers to files, in files."""

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from aio_toolkit.errors import AioError, UnwritableError, is_unwritable, shown
from aio_toolkit.files import read_json, sha256_file, write_json
from aio_toolkit.hub.model import AT_ONCE, Model
from aio_toolkit.progress import progress

# What an answer was made from, in its folder.
STAMP = "answer.json"
# Standard input, among names of files, and what its answer is called.
STDIN, STDIN_NAME = "-", "stdin"
# Endings of audio files that are looked for in folders.
ENDINGS = (
    *(".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64", ".sph"),
    *(".m4a", ".mp4", ".aac", ".wma", ".webm", ".mkv", ".mov"),
)


@dataclass(frozen=True)
class Question:
    """A recording to be answered.

    Attributes:
        name: of the recording, among all of them.
        source: its file, or an open one.
        folder: of the answer; None where it is printed.
    """

    name: str
    source: Path | BinaryIO
    folder: Path | None


@dataclass(frozen=True)
class FileAnswers:
    """Answers to files, in files; those that cannot be read are named at the end.

    The answer to `talks/sub/a.wav` of a folder `talks` is in `out/<task>/sub/a.wav/`. One that is
    there, of the same recording by the same model with the same options, is kept; one that was made
    without `partial` is of a whole recording, so it is kept with it too.

    Attributes:
        model: a finished model.
        task: one of its tasks.
        out: folder of the answers; None prints texts.
        options: of the task's answerer.
        at_once: windows that go through the model at a time.
    """

    model: Model
    task: str
    out: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    at_once: int = AT_ONCE

    def answer(self, named: Sequence[Path]) -> None:
        """Answer audio files, the audio files of folders, and standard input, which is `-`.

        Raises:
            UnwritableError: the folder cannot be written, or the disk is full; what has been
                answered is kept.
            AioError: nothing is there to answer, two answers would have one name, or a recording
                could not be answered; the others are.
        """
        answerer = self.model.answerer(self.task)
        options = self.model.options(self.task, self.options)
        if self.out is None and not answerer.can_be_printed:
            problem = f"the answers to task '{self.task}' are waves"
            raise AioError(f"{problem}. Give a folder for them: --out.")
        questions = [self._question(name, path) for name, path in find_files(named).items()]
        if self.out is not None:
            _check_writable(self.out)
        open_questions = [one for one in questions if not self._is_answered(one)]
        openers = (answerer.opener(one.source, options) for one in open_questions)
        answers = answerer.answers(openers, options, self.at_once)

        problems = []
        with progress(zip(open_questions, answers, strict=True), "answer", len(questions)) as bar:
            bar.update(len(questions) - len(open_questions))
            for question, pieces in bar:
                try:
                    if question.folder is None:
                        bar.write(f"{question.name}\t{answerer.joined(pieces, options)}")
                    else:
                        self._write(question, partial(answerer.write, pieces, options=options))
                except UnwritableError:
                    # No other answer could be written either.
                    raise
                except AioError as error:
                    problems.append(str(error).removesuffix("."))
        if problems:
            failed = f"{len(problems)} of {len(questions)} recordings could not be answered"
            raise AioError(f"{failed}: {shown(problems, separator='; ')}")

    def _question(self, name: str, path: Path) -> Question:
        folder = None if self.out is None else self.out / self.task / name
        return Question(name, sys.stdin.buffer if str(path) == STDIN else path, folder)

    def _made_from(self, question: Question) -> dict[str, Any]:
        """What tells an answer from others."""
        path = question.source
        recording = sha256_file(path) if isinstance(path, Path) and path.is_file() else ""
        chosen = vars(self.model.options(self.task, self.options))
        options = {name: str(value) for name, value in chosen.items()}
        return {"model": self.model.sha256, "recording": recording, **options}

    def _is_answered(self, question: Question) -> bool:
        if question.folder is None or not isinstance(question.source, Path):
            return False
        stamp = question.folder / STAMP
        if not stamp.is_file():
            return False
        made_from = self._made_from(question)
        return read_json(stamp) in (made_from, made_from | {"partial": str(False)})

    def _write(self, question: Question, write: Callable[[Path], None]) -> None:
        assert question.folder is not None, "those without one are printed"
        stamp = question.folder / STAMP
        # Before: a recording that changes meanwhile is to be answered again.
        made_from = self._made_from(question)
        # Whoever is killed while writing leaves an answer that does not look finished.
        stamp.unlink(missing_ok=True)
        try:
            with _told_of(question.folder):
                write(question.folder)
                write_json(stamp, made_from)
        except BaseException:
            # Where nothing is in it that was not there before, it goes.
            with contextlib.suppress(OSError):
                question.folder.rmdir()
            raise


@contextlib.contextmanager
def _told_of(folder: Path) -> Iterator[None]:
    """What cannot be written is told by the folder that it was for."""
    try:
        yield
    except (UnwritableError, OSError) as error:
        if isinstance(error, OSError) and not is_unwritable(error):
            raise
        cause = error.strerror if isinstance(error, OSError) else "the disk may be full"
        raise _unwritable(folder, str(cause)) from None


def _check_writable(folder: Path) -> None:
    """Refuse a folder before anything is heard, not when the first answer is there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _unwritable(folder, str(error.strerror)) from None


def _unwritable(folder: Path, cause: str) -> UnwritableError:
    remedy = "Free some space or choose another folder (--out), then run again"
    return UnwritableError(f"cannot write into {folder}: {cause}. {remedy}.")


def find_files(named: Iterable[Path]) -> dict[str, Path]:
    """The audio files that are meant, by the name of their answer.

    Raises:
        AioError: there are none, or two would have one name.
    """
    files: dict[str, Path] = {}
    for path in named:
        found = {STDIN_NAME if str(path) == STDIN else path.name: path}
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
