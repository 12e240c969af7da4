"""Shards: the unit of work and of resumption of stage 2, and how they become one dump.

A dump has two parts, codes of inputs and codes of sources. `made_from.json` says of each part which
utterances it holds and what their waves were then, so that a later run codes again what has
changed, and that alone.
"""

import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from aio_toolkit.data.datadir import Utterance
from aio_toolkit.dump.arks import read_places
from aio_toolkit.files import atomic_path, read_json, write_json

# Utterances in a shard: at most this many, and fewer where they would make fewer shards than that.
SHARD, SHARDS = 64, 32
MADE_FROM = "made_from.json"
# What the input is called among the waves of an utterance; no source may have that name.
INPUT = "wav"


class Part(StrEnum):
    """What of a split has codes: the recordings, or the sources of their answers."""

    input = "input"
    sources = "sources"


@dataclass(frozen=True)
class Shard:
    """A set of utterances one of whose parts is coded together.

    Attributes:
        part: which.
        utterances: its members.
        folder: the folder of all shards.
        key: tells it from shards of other utterances, or of other versions of their waves.
    """

    part: Part
    utterances: list[Utterance]
    folder: Path
    key: str

    def scp(self, name: str) -> Path:
        """The shard's own list of the codes of `wav` or of a source."""
        return self.folder / f"codes_{name}.{self.key}.scp"

    @property
    def finished(self) -> Path:
        """A file that is written last."""
        return self.folder / f"done.{self.key}"


def read_made(dump_split: Path, part: Part) -> dict[str, str]:
    """What the waves of each utterance were when its part was coded, by id."""
    path = dump_split / MADE_FROM
    return read_json(path).get(part, {}) if path.is_file() else {}


def make_shards(
    part: Part, utterances: Sequence[Utterance], digests: Mapping[str, str], folder: Path
) -> list[Shard]:
    """Utterances of similar length together, the longest first.

    So no process is left with a long one when all others have finished.

    Args:
        part: what is to be coded of them.
        utterances: those to be coded.
        digests: what their waves are now, by id.
        folder: where the shards are written.
    """
    by_length = sorted(utterances, key=lambda u: (-u.num_samples, u.id))
    size_of_many = -(-len(by_length) // SHARDS)
    shards = []
    for group in itertools.batched(by_length, max(1, min(SHARD, size_of_many))):
        told = [part, *(f"{u.id} {digests[u.id]}" for u in group)]
        key = hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]
        shards.append(Shard(part, list(group), folder, key))
    return shards


def join_shards(
    part: Part, shards: Sequence[Shard], digests: Mapping[str, str], dump_split: Path
) -> None:
    """Add finished shards to the part of a dump, drop what is stale, and say so last.

    Args:
        part: the part that the shards are of.
        shards: all that were missing.
        digests: what the waves of all utterances of the split are now, by id.
        dump_split: the dump.
    """
    anew = {utterance.id for shard in shards for utterance in shard.utterances}
    kept = digests.keys() - anew
    # Of the sources a task may have, only the archives know which the split has.
    names = {path.stem.removeprefix("codes_") for path in dump_split.glob("codes_*.scp")}
    for shard in shards:
        found = shard.folder.glob(f"codes_*.{shard.key}.scp")
        names |= {path.name.removeprefix("codes_").split(".")[0] for path in found}
    for name in sorted(names):
        if (name == INPUT) == (part == Part.input):
            _join(name, shards, kept, dump_split)

    path = dump_split / MADE_FROM
    made = read_json(path) if path.is_file() else {}
    write_json(path, {**made, part: dict(sorted(digests.items()))})


def clean_up(folder: Path, dump_split: Path) -> None:
    """Remove archives that no list of the dump names any more, and what told of finished shards."""
    named = set()
    for scp in dump_split.glob("codes_*.scp"):
        named |= {Path(place.rpartition(":")[0]).name for place in read_places(scp).values()}
    for path in folder.iterdir():
        if path.name not in named:
            path.unlink()


def _join(name: str, shards: Iterable[Shard], kept: Iterable[str], dump_split: Path) -> None:
    scp = dump_split / f"codes_{name}.scp"
    before = read_places(scp)
    places = {id: before[id] for id in kept if id in before}
    for shard in shards:
        places |= read_places(shard.scp(name))
    if not places:
        scp.unlink(missing_ok=True)
        return
    text = "".join(f"{id} {place}\n" for id, place in sorted(places.items()))
    with atomic_path(scp) as temporary:
        temporary.write_text(text, encoding="utf-8")
