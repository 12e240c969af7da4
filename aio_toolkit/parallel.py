"""Work spread over processes."""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator


def parallel_map[T, R](
    work: Callable[[T], R], items: Iterable[T], num_jobs: int, ordered: bool = True, chunksize: int = 1
) -> Iterator[R]:
    """`work` of each item, in `num_jobs` processes of one thread each; in this process where that is 1.

    Small networks and files gain more from processes than from threads. `ordered=False` yields results as they come.
    """
    if num_jobs <= 1:
        yield from map(work, items)
        return
    # "spawn": a process forked from one that has used torch's threads may hang.
    with multiprocessing.get_context("spawn").Pool(num_jobs, initializer=_one_thread) as pool:
        yield from (pool.imap if ordered else pool.imap_unordered)(work, items, chunksize)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
