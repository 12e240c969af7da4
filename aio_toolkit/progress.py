"""One progress bar for every long loop."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tqdm import tqdm

# Seconds between two updates: a terminal redraws one line, a log gets a new line each time.
_TERMINAL_INTERVAL, _LOG_INTERVAL = 0.2, 10.0


def progress[T](
    iterable: Iterable[T],
    desc: str,
    total: int | None = None,
    unit: str = "utt",
) -> "tqdm[T]":
    """Iterate with a bar on stderr that shows rate and time left; a log gets a line every 10 s.

    Args:
        iterable: what to iterate over.
        desc: what is being done; the bar opens with it.
        total: number of items, where `iterable` does not know it.
        unit: what an item is.

    Returns:
        tqdm's bar, which yields the items; `bar.update(n)` advances it by hand.

    >>> list(progress(["a", "b"], "example"))
    ['a', 'b']
    """
    # Imported here, as commands that only print their help should start at once.
    from tqdm import tqdm

    interval = _TERMINAL_INTERVAL if sys.stderr.isatty() else _LOG_INTERVAL
    return tqdm(
        iterable,
        desc=desc,
        total=total,
        unit=unit,
        mininterval=interval,
        dynamic_ncols=True,
    )
