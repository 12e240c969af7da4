"""What ends one of the processes that train together, told by the others too.

The others see no more than a connection that is closed, and often end last: whoever reads the last
line shall read what was wrong.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch.distributed as dist

from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path

# Where a process leaves its last words, in the folder of the run.
FAILED = "failed.txt"
# Seconds that the others wait for them: a file system may be slow to show them.
WAIT = 3.0


@contextmanager
def told_to_others(out: Path, num_processes: int) -> Iterator[None]:
    """End all processes of a training with the words of the one that failed.

    Args:
        out: folder of the run.
        num_processes: how many train together.

    Raises:
        AioError: that of the block, or that of another process; or another one has ended without
            a word.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, told_to_others(Path(folder), 1):
    ...     pass
    """
    if num_processes == 1:
        yield
        return
    words = out / FAILED
    began = time.time()
    try:
        yield
    except AioError as error:
        with atomic_path(words) as temporary:
            temporary.write_text(str(error), encoding="utf-8")
        raise
    except RuntimeError as error:
        if not _lost_another(error):
            raise
        raise AioError(_words_of_another(words, began)) from None


def _lost_another(error: RuntimeError) -> bool:
    """Whether it was not this process that failed."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)


def _words_of_another(words: Path, began: float) -> str:
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline:
        # Not those of a run before.
        if words.is_file() and words.stat().st_mtime >= began:
            return words.read_text(encoding="utf-8")
        time.sleep(0.1)
    problem = "another process of the training has ended without a word"
    return f"{problem}: it was killed, or memory ran out. Run the same command again to go on."
