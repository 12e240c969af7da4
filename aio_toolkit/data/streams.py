"""Bytes that come once, or from the middle of a file, as files that can be read in any order."""

import io
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from aio_toolkit.errors import AioError

# The environment variable that, when it is `off`, keeps commands in lists from being run.
PIPES = "AIO_PIPES"
# What a shell says of a command that wrote into a closed pipe: 128 + SIGPIPE.
_CLOSED_PIPE = 141


def rest_of(file: BinaryIO, start: int) -> BinaryIO:
    """A file from one of its bytes on, as a file of its own.

    >>> rest = rest_of(io.BytesIO(b"utt RIFF"), start=4)
    >>> rest.read(), rest.seek(2), rest.read()
    (b'RIFF', 2, b'FF')
    """
    return io.BufferedReader(_Rest(file, start))


@contextmanager
def seekable(stream: BinaryIO) -> Iterator[BinaryIO]:
    """What is left of a stream, in a temporary file where it cannot be read in any order.

    >>> stream = io.BytesIO(b"read, unread")
    >>> _ = stream.read(6)
    >>> with seekable(stream) as file:
    ...     file.read()
    b'unread'
    """
    if stream.seekable():
        yield rest_of(stream, stream.tell())
        return
    with tempfile.TemporaryFile() as file:
        shutil.copyfileobj(stream, file)
        yield file


@contextmanager
def output_of(command: str) -> Iterator[BinaryIO]:
    """What a command writes, in a temporary file.

    Raises:
        AioError: it fails, or writes nothing, or pipes are off.

    >>> with output_of("echo hello") as file:
    ...     file.read()
    b'hello\\n'
    """
    if os.environ.get(PIPES) == "off":
        problem = f"'{command} |' is a command, and commands in lists are off (--pipes, {PIPES})"
        raise AioError(f"{problem}. Turn them on if you trust the list.")
    # Without pipefail the failure of any command but the last would pass for a short recording.
    shell = ["bash", "-o", "pipefail", "-c", command]
    with tempfile.TemporaryFile() as file:
        done = subprocess.run(
            shell, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.PIPE, check=False
        )
        if done.returncode != 0:
            raise AioError(f"command '{command}' {_failure(done.returncode, done.stderr)}")
        if file.seek(0, io.SEEK_END) == 0:
            raise AioError(f"command '{command}' wrote no audio. Run it by hand and fix the line.")
        file.seek(0)
        yield file


def _failure(status: int, stderr: bytes) -> str:
    if status == _CLOSED_PIPE:
        cause = "a command in it wrote into a pipe that the next had closed, as before head"
        remedy = "If that is meant, end the line with '; true |' instead of '|'."
        return f"failed with status {status}: {cause}. {remedy}"
    words = stderr.decode(errors="replace").split()
    said = " ".join(words[-40:]) or "it said nothing"
    return f"failed with status {status}: {said}. Run it by hand and fix the line."


class _Rest(io.RawIOBase):
    """What `rest_of` reads."""

    def __init__(self, file: BinaryIO, start: int) -> None:
        self._file, self._start = file, start
        file.seek(start)

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as the file goes."""
        piece = self._file.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte, counted from the first one."""
        if whence == io.SEEK_SET:
            offset += self._start
        return self._file.seek(offset, whence) - self._start
