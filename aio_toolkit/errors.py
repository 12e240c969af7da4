"""Errors written for the person who made the mistake."""

import errno
import functools
import sys
from collections.abc import Callable


class AioError(Exception):
    """A mistake the user can mend. The message names the file or key, the cause and the remedy."""


def cli(main: Callable[[], None]) -> Callable[[], None]:
    """Turn the errors a user can cause into one line on stderr and a non-zero exit status.

    Anything else is a bug of the toolkit and keeps its traceback.
    """

    @functools.wraps(main)
    def wrapped() -> None:
        try:
            main()
        except AioError as error:
            sys.exit(f"error: {error}")
        except KeyboardInterrupt:
            print("interrupted: run the same command again to resume", file=sys.stderr)
            sys.exit(130)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
                raise
            where = f" at {error.filename}" if error.filename else ""
            remedy = "Free some space or choose another folder."
            sys.exit(f"error: cannot write{where}: {error.strerror}. {remedy}")
        except RuntimeError as error:
            # What torch.save says of a failed write names neither file nor cause.
            if "inline_container" not in str(error):
                raise
            sys.exit("error: cannot write a checkpoint. The disk is probably full: free some space, then run it again.")

    return wrapped
