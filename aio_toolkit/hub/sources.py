"""Where a model is: a folder, a zip, a name on the hub; each as a folder on this disk."""

import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from aio_toolkit.errors import AioError
from aio_toolkit.hub.archive import extract_zip
from aio_toolkit.hub.checksums import CARD, CHECKSUMS, CODEC, MODEL_YAML, UNITS, WEIGHTS

# What is fetched of a hub's repository: files of other kinds have no business in a pack.
PACKED = (MODEL_YAML, WEIGHTS, CHECKSUMS, CARD, f"{UNITS}/*", f"{CODEC}/*")
# `user/name`, as the hub allows it.
HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)


@dataclass(frozen=True)
class Source:
    """A folder that holds a model.

    Attributes:
        name: what its user calls it.
        folder: where it is.
        root: the folder that links in it may lead to.
        is_foreign: whether it comes from a zip or the hub, so that it can only be a pack.
        temporary: what removes the folder, when nobody has the source any more.
    """

    name: str
    folder: Path
    root: Path
    is_foreign: bool = False
    temporary: tempfile.TemporaryDirectory | None = None

    @property
    def is_pack(self) -> bool:
        """Whether it is a packed folder."""
        return (self.folder / MODEL_YAML).is_file() or (self.folder / CHECKSUMS).is_file()


def find_source(where: Path | str, revision: str | None = None) -> Source:
    """The folder of a model; one that is on this disk wins over a name on the hub.

    Args:
        where: an experiment folder, a packed folder, a zip of one, or `user/name` on the hub.
        revision: commit, tag or branch on the hub; its newest commit by default.

    Raises:
        AioError: there is no such thing, it cannot be fetched, or it is a zip that is not safe.

    >>> find_source("egs/mini_aio").folder.name
    'mini_aio'
    >>> find_source("./no/such/folder")
    Traceback (most recent call last):
    aio_toolkit.errors.AioError: ./no/such/folder is neither a folder of a model nor a name ...
    """
    path = Path(where)
    if path.exists() and revision is not None:
        problem = f"{where} is on this disk and has no revisions"
        raise AioError(f"{problem}. Leave revision={revision} out.")
    if path.is_dir():
        return Source(str(where), path, root=path)
    if path.exists():
        return _from_zip(path)
    if not HUB_NAME.fullmatch(str(where)):
        raise AioError(f"{where} is {_NEITHER}. Check the path.")
    return _from_hub(str(where), revision)


_NEITHER = "neither a folder of a model nor a name on the hub (user/name)"


def _from_zip(path: Path) -> Source:
    if path.suffix.lower() != ".zip" or not path.is_file():
        kinds = "an experiment folder, a packed folder, or a .zip of one"
        raise AioError(f"{path} is a single file. Give {kinds}.")
    temporary = tempfile.TemporaryDirectory(prefix="aio-pack-")
    folder = extract_zip(path, Path(temporary.name))
    return Source(str(path), folder, folder, is_foreign=True, temporary=temporary)


def _from_hub(name: str, revision: str | None) -> Source:
    """Fetch a repository into the hub's cache, or find it there; say which commit it is."""
    # Half a second to import, which those who have a folder need not wait.
    from huggingface_hub import snapshot_download

    try:
        fetched = snapshot_download(name, revision=revision, allow_patterns=list(PACKED))
    except Exception as error:  # of the hub, its HTTP library and the net: unrelated classes
        raise AioError(f"{name} is {_NEITHER}: {_reason(error, revision)}.") from None
    folder = Path(fetched)
    if revision != folder.name:
        print(f"{name} is at commit {folder.name}; revision= keeps to it", file=sys.stderr)
    # A snapshot consists of links to the files of its repository in the cache.
    return Source(name, folder, root=folder.parents[1], is_foreign=True)


def _reason(error: Exception, revision: str | None) -> str:
    """Why nothing was fetched; the library's own messages are paragraphs."""
    from huggingface_hub import errors

    if isinstance(error, errors.RevisionNotFoundError):
        return f"the hub has it without revision '{revision}'"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "the hub does not know it, or wants to know you first (hf auth login)"
    if isinstance(error, errors.LocalEntryNotFoundError):
        return "the hub cannot be asked, and it was not fetched before"
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
