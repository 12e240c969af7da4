"""A model that was found, whatever it was found as."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aio_toolkit.errors import AioError
from aio_toolkit.files import sha256_file
from aio_toolkit.hub.checksums import CARD, CHECKSUMS, CODEC, MODEL_YAML
from aio_toolkit.hub.sources import Source, find_source
from aio_toolkit.hub.unpack import unpack
from aio_toolkit.models.checkpoint import MODEL, LoadedAio, load_aio


@dataclass(frozen=True)
class Opened:
    """A model and what is known of it.

    Attributes:
        loaded: in evaluation mode.
        source: where it is from.
        sha256: a hash that tells models apart.
        card: the text of its card; empty where it has none.
        codec: folder of the codec that came with it; None where none did.
    """

    loaded: LoadedAio
    source: Source
    sha256: str
    card: str = ""
    codec: Path | None = None


def open_model(where: Path | str, trust: Sequence[str] = (), revision: str | None = None) -> Opened:
    """Read a model from an experiment folder, a packed folder, a zip of one, or the hub.

    Args:
        where: see `find_source`.
        trust: packages of parts that a pack may run.
        revision: commit, tag or branch on the hub.

    Raises:
        AioError: there is no model, or it is damaged or not safe.
    """
    source = find_source(where, revision)
    folder = source.folder
    if source.is_pack:
        loaded = unpack(folder, source.root, trust)
        card = folder / CARD
        text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
        codec = folder / CODEC if (folder / CODEC).is_dir() else None
        return Opened(loaded, source, sha256_file(folder / CHECKSUMS), text, codec)
    # What others have sent may not hold a pickle, be it read with care.
    if source.is_foreign:
        raise AioError(f"{source.name} holds no packed model: there is no {MODEL_YAML} in it.")
    if not (folder / MODEL).is_file():
        makes = f"stage 4 writes {MODEL} and stage 8 a pack with {MODEL_YAML}"
        raise AioError(f"{source.name} holds no model: {makes}. Check the path.")
    # Before it is read: models of one folder differ while training goes on.
    sha256 = sha256_file(folder / MODEL)
    return Opened(load_aio(folder / MODEL), source, sha256)
