"""Shards: the unit of work and of resumption of stage 2, and how they become one dump."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aio_toolkit.data.datadir import Utterance
from aio_toolkit.files import atomic_path

# Utterances in a shard: at most this many, and fewer where they would make fewer shards than that.
SHARD, SHARDS = 64, 32
FEATURES = "feats"


@dataclass(frozen=True)
class Shard:
    """A fixed set of utterances whose archives are written together.

    Attributes:
        number: counted from 0.
        utterances: its members.
        folder: the folder of all shards.
    """

    number: int
    utterances: list[Utterance]
    folder: Path

    def scp(self, name: str) -> Path:
        """The shard's own scp file of `feats`, `codes_wav` or `codes_<source>`."""
        return self.folder / f"{name}.{self.number}.scp"

    @property
    def finished(self) -> Path:
        """A file that is written last."""
        return self.folder / f"done.{self.number}"


def make_shards(utterances: Sequence[Utterance], folder: Path) -> list[Shard]:
    """Utterances of similar length together, the longest first.

    So no process is left with a long one when all others have finished.

    Args:
        utterances: those of a split.
        folder: where the shards are written.
    """
    by_length = sorted(utterances, key=lambda u: (-u.num_samples, u.id))
    size_of_many = -(-len(by_length) // SHARDS)
    groups = itertools.batched(by_length, min(SHARD, size_of_many))
    return [Shard(number, list(group), folder) for number, group in enumerate(groups)]


def join_shards(
    shards: Sequence[Shard], utterances: Sequence[Utterance], dump_split: Path, hop: int
) -> None:
    """Put the scp files of finished shards together, sorted by id; `feats.scp` appears last.

    Args:
        shards: those of a split.
        utterances: the split, in the data dir's order.
        dump_split: its dump.
        hop: samples of a frame.
    """
    # Of the sources a task may have, only the archives know which the split has.
    names = set()
    for path in shards[0].folder.glob("*.scp"):
        name, *_ = path.name.rsplit(".", maxsplit=2)
        names.add(name)
    for name in sorted(names - {FEATURES}):
        _join(shards, name, dump_split)

    lines = []
    for utterance in utterances:
        num_frames = -(-utterance.num_samples // hop)
        lines.append(f"{utterance.id} {num_frames}")
    _write_lines(dump_split / "utt2num_frames", lines)

    # Last: who finds features may rely on everything else.
    _join(shards, FEATURES, dump_split)


def _join(shards: Iterable[Shard], name: str, dump_split: Path) -> None:
    lines: list[str] = []
    for shard in shards:
        path = shard.scp(name)
        if path.is_file():
            lines += path.read_text(encoding="utf-8").splitlines()
    _write_lines(dump_split / f"{name}.scp", sorted(lines))


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
