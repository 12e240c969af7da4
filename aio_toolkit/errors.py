"""Errors written for the person who made the mistake."""

import errno
import functools
import os
import signal
import sys
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

# A message shows this many of many, so that it still fits a terminal.
MAX_SHOWN = 10

# What the system says when it is the disk or its permissions, not the program, that is at fault.
_UNWRITABLE = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS),
    # A file stands where a folder is wanted.
    *(errno.ENOTDIR, errno.EEXIST),
)


class AioError(Exception):
    """A mistake that the user can fix.

    The message names the file or key, the cause and the remedy.
    """


class UnwritableError(AioError):
    """A file that cannot be written, so that others could not be either: the disk is full."""


class StoppedError(Exception):
    """A signal from outside has ended the work, and the same command goes on with it."""

    def __init__(self, number: int, when: str = ""):
        """Take over the number of a signal, and where the work stood."""
        where = f" {when}" if when else ""
        name = signal.Signals(number).name
        super().__init__(f"stopped by {name}{where}: run the same command again to go on")
        # What a shell says of a process that a signal ended.
        self.status = 128 + number


def is_unwritable(error: OSError) -> bool:
    """Whether it is the disk or its permissions that are at fault.

    >>> is_unwritable(OSError(errno.ENOSPC, "No space left on device"))
    True
    """
    return error.errno in _UNWRITABLE


def shown(names: Iterable[str], limit: int = MAX_SHOWN, separator: str = ", ") -> str:
    """The first of some names, and how many there are besides, for a message.

    >>> shown(["a", "b", "c", "d"], limit=3)
    'a, b, c and 1 more'
    >>> shown(["a", "b"])
    'a, b'
    """
    names = list(names)
    text = separator.join(names[:limit])
    more = len(names) - limit
    if more <= 0:
        return text
    return f"{text} and {more} more"


def cli(main: Callable[[], None]) -> Callable[[], None]:
    """Turn the errors a user can cause into one line on stderr and a non-zero exit status.

    Anything else is a bug of the toolkit and keeps its traceback.

    >>> @cli
    ... def main():
    ...     raise AioError("wav.scp line 3: is empty. Remove it.")
    >>> main()
    Traceback (most recent call last):
    SystemExit: error: wav.scp line 3: is empty. Remove it.
    """

    @functools.wraps(main)
    def _wrapped() -> None:
        before = signal.signal(signal.SIGTERM, _stop_at)
        try:
            main()
            # Here, as nothing can be said any more when the interpreter does it.
            sys.stdout.flush()
        except AioError as error:
            sys.exit(f"error: {error}")
        except StoppedError as stopped:
            # One of the processes that train together speaks for all.
            if os.environ.get("LOCAL_RANK", "0") == "0":
                print(stopped, file=sys.stderr)
            sys.exit(stopped.status)
        except KeyboardInterrupt:
            print("interrupted: run the same command again to go on", file=sys.stderr)
            sys.exit(130)
        except OSError as error:
            _end(error)
        finally:
            signal.signal(signal.SIGTERM, before)

    return _wrapped


def _stop_at(number: int, frame: Any) -> NoReturn:
    raise StoppedError(number)


def _end(error: OSError) -> NoReturn:
    """End where the system would not write; anything else is raised again."""
    if isinstance(error, BrokenPipeError):
        # Whoever read this, such as `head`, has had enough. What is left goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    if not is_unwritable(error):
        raise error
    where = f" at {error.filename}" if error.filename else ""
    remedy = "Free some space or choose another folder."
    sys.exit(f"error: cannot write{where}: {error.strerror}. {remedy}")
