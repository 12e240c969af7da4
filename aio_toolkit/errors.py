"""Errors written for the person who made the mistake."""

import errno
import functools
import os
import signal
import sys
from collections.abc import Callable, Iterable
from typing import NoReturn

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
        try:
            main()
            # Here, as nothing can be said any more when the interpreter does it.
            sys.stdout.flush()
        except AioError as error:
            sys.exit(f"error: {error}")
        except KeyboardInterrupt:
            print("interrupted: run the same command again to resume", file=sys.stderr)
            sys.exit(130)
        except OSError as error:
            _stop(error)
        except RuntimeError as error:
            # What torch.save says of a failed write names neither file nor cause.
            if "inline_container" not in str(error):
                raise
            cause = "The disk is probably full: free some space, then run it again."
            sys.exit(f"error: cannot write a checkpoint. {cause}")

    return _wrapped


def _stop(error: OSError) -> NoReturn:
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
