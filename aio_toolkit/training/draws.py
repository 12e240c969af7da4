"""What training draws at random: a function of the seed and of the place in the run.

Restarts, ranks, loader workers and the validations between two steps must not change it. So every
training step seeds the generators anew, by the number of its batch, and validation gives them back
as it found them. What is drawn for the examples themselves is in `data.sampler` and
`training.dataset`.
"""

import contextlib
from collections.abc import Iterator

import numpy as np
import torch


def seed_of(seed: int, number: int) -> int:
    """A seed of 64 bits for one of many numbered things; neighbours are unrelated.

    >>> seed_of(0, 1) == seed_of(0, 1), seed_of(0, 1) == seed_of(1, 0)
    (True, False)
    """
    # Seeds that differ in few bits make similar Mersenne Twisters; SeedSequence hashes them apart.
    sequence = np.random.SeedSequence([seed, number])
    return int(sequence.generate_state(1, np.uint64)[0])


def seed_step(seed: int, index: int) -> None:
    """Seed torch's generators of all devices for the training step of one batch.

    Args:
        seed: of the run.
        index: number of the batch, counted over the whole run and all ranks.

    >>> seed_step(0, 5)
    >>> first = torch.rand(())
    >>> seed_step(0, 5)
    >>> bool(torch.rand(()) == first)
    True
    """
    torch.manual_seed(seed_of(seed, index))


@contextlib.contextmanager
def forked(seed: int) -> Iterator[None]:
    """Seed torch's generators for a block; after it they are what they were.

    >>> before = torch.get_rng_state()
    >>> with forked(3):
    ...     _ = torch.rand(4)
    >>> torch.equal(torch.get_rng_state(), before)
    True
    """
    # All devices, as `manual_seed` seeds all.
    devices = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield
