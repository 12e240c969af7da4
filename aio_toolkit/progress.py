"""One progress bar for every long loop."""

from collections.abc import Iterable, Iterator


def progress[T](iterable: Iterable[T], desc: str, total: int | None = None, unit: str = "utt") -> Iterator[T]:
    """Iterate with a bar on stderr that shows rate and time left; a plain log gets a line every ten seconds."""
    import sys

    from tqdm import tqdm

    interval = 0.2 if sys.stderr.isatty() else 10.0
    return tqdm(iterable, desc=desc, total=total, unit=unit, mininterval=interval, dynamic_ncols=True)
