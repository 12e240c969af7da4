"""Work spread over processes."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from itertools import batched
from multiprocessing.connection import Connection

from aio_toolkit import parts
from aio_toolkit.errors import AioError


def parallel_map[T, R](
    work: Callable[[T], R],
    items: Iterable[T],
    num_jobs: int,
    *,
    ordered: bool = True,
    chunksize: int = 1,
) -> Iterator[R]:
    """`work` of each item, in `num_jobs` processes of one thread each; in this process for one job.

    Small networks and files gain more from processes than from threads.

    Args:
        work: a function of a module; other processes import it by its name.
        items: what it is called with.
        num_jobs: number of processes.
        ordered: yield results in the order of the items; otherwise as they come.
        chunksize: items that a process takes at a time.

    Raises:
        AioError: processes cannot be started, or one died.

    >>> list(parallel_map(abs, [-3, 2], num_jobs=1))
    [3, 2]
    """
    if num_jobs <= 1:
        yield from map(work, items)
        return
    check_shared_memory("--nj 1")
    # "spawn": a process forked from one that has used torch's threads may hang.
    context = multiprocessing.get_context("spawn")
    # Nothing is ever sent: the pipe's closing tells the workers to stop.
    theirs, ours = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(num_jobs, context, _start_worker, (theirs, parts.packages()))
    try:
        futures = [pool.submit(_run_chunk, work, chunk) for chunk in batched(items, chunksize)]
        for future in futures if ordered else as_completed(futures):
            yield from future.result()
        pool.shutdown()
    except BrokenProcessPool:
        raise AioError(
            "a worker process died: it was killed, or memory ran out. "
            "Run it again, with fewer processes (--nj) where memory is short."
        ) from None
    finally:
        # After an error, nobody waits for work that was begun.
        ours.close()
        pool.shutdown(cancel_futures=True)
        theirs.close()


def check_shared_memory(remedy: str) -> None:
    """Refuse what the system does not let share a lock between processes.

    Args:
        remedy: what does without other processes.

    Raises:
        AioError: it cannot be used.
    """
    try:
        multiprocessing.get_context("spawn").Lock()
    except OSError as error:
        problem = f"shared memory (/dev/shm) cannot be used: {error.strerror}"
        raise AioError(f"{problem}. Mount it, or do without other processes: {remedy}.") from None


def leave_signals_to_parent(_number: int = 0) -> None:
    """Have a worker process, whatever its number, end when its parent does and not before.

    Ctrl-C reaches every process of a terminal, and a scheduler's signal all of a job; the parent
    answers for all.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)


def _run_chunk[T, R](work: Callable[[T], R], chunk: Iterable[T]) -> list[R]:
    return [work(item) for item in chunk]


def _start_worker(parent: Connection, packages: list[str]) -> None:
    import torch

    leave_signals_to_parent()
    threading.Thread(target=_stop_with_parent, args=(parent,), daemon=True).start()
    torch.set_num_threads(1)
    parts.use(packages)


def _stop_with_parent(parent: Connection) -> None:
    """End this process when the parent closes its end of the pipe, as it also does by dying."""
    parent.poll(None)
    os._exit(1)
