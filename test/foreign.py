"""Packages of parts beside the toolkit: those in `test/packages`, and temporary ones."""

import contextlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

from aio_toolkit import parts

PACKAGES = Path(__file__).parent / "packages"
# The toolkit's folders of parts, of which `newcomers` has a file each.
NEWCOMERS = {
    "encoders": "pooled",
    "moe/routers": "hashed",
    "moe/balances": "concentration",
    "moe/experts": "scales",
    "ssl": "reconstruction",
    "heads/paths": "regression",
    "codec": "steps",
    "scoring/metrics": "exact",
}


@contextlib.contextmanager
def in_use(*packages: str, path: Path = PACKAGES) -> Iterator[None]:
    """Look for parts in these packages too, as long as the block runs."""
    before, path_before = parts.packages(), list(sys.path)
    sys.path.insert(0, str(path))
    importlib.invalidate_caches()
    try:
        parts.use(packages)
        yield
    finally:
        sys.path[:] = path_before
        parts._packages[:] = before
        # Without packages, what was found in them is forgotten.
        parts.use([])


def newcomer(folder: str) -> str:
    """The source of the newcomer of a folder."""
    return (PACKAGES / "newcomers" / folder / f"{NEWCOMERS[folder]}.py").read_text()
