"""Tags: words that hold for an utterance, in any order."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, override

import numpy as np
import torch

from aio_toolkit.answers.base import AnswerKind, TargetReader, TargetSource, Units
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.spans import Span
from aio_toolkit.errors import AioError
from aio_toolkit.files import read_json, write_json
from aio_toolkit.tasks import Task


@dataclass(frozen=True)
class TagUnits(Units):
    """The tags there are."""

    tags: tuple[str, ...]

    @override
    def state(self) -> dict[str, Any]:
        return {"tags": list(self.tags)}

    @classmethod
    @override
    def from_state(cls, state: dict[str, Any]) -> "TagUnits":
        return cls(tuple(state["tags"]))

    @override
    def check_same(self, other: Units, where: str) -> None:
        if self != other:
            raise AioError(f"{where}: the tags are not the same.")


class TagReader(TargetReader):
    """One number for each tag: 1.0 where it holds."""

    def __init__(self, units: TagUnits):
        self.tags = units.tags

    @override
    def read(self, utterance: Utterance, span: Span) -> np.ndarray:
        present = utterance.answers["tags"].split()
        return np.array([tag in present for tag in self.tags], dtype=np.float32)


class Tags(AnswerKind):
    """Words in a file `tags` of the data dir."""

    units = TagUnits

    @override
    def file_of(self, target: str) -> str:
        return target

    @override
    def check_task(self, task: Task) -> str | None:
        return None if task.targets == ("tags",) else "a tagging task has the target 'tags'."

    @override
    def fit(
        self, tasks: Sequence[Task], utterances: Sequence[Utterance], options: Any, folder: Path
    ) -> TagUnits:
        tags = sorted({tag for u in utterances for tag in u.answers["tags"].split()})
        write_json(folder / "tags.json", tags)
        return TagUnits(tuple(tags))

    @override
    def load_units(self, folder: Path) -> TagUnits:
        return TagUnits(tuple(read_json(folder / "tags.json")))

    @override
    def open(self, source: TargetSource, units: TagUnits) -> TagReader:
        return TagReader(units)

    @override
    def collate(self, targets: Sequence[np.ndarray], num_samples: int, hop: int) -> torch.Tensor:
        return torch.from_numpy(np.stack(targets))

    @override
    def write(self, folder: Path, utterance: Utterance, answer: list[str]) -> None:
        write_json(folder / f"{utterance.id}.json", answer)

    @override
    def is_finished(self, folder: Path, utterance: Utterance) -> bool:
        return (folder / f"{utterance.id}.json").is_file()

    @override
    def collect(self, folder: Path, utterances: Sequence[Utterance]) -> None:
        found = {u.id: read_json(folder / f"{u.id}.json") for u in utterances}
        (folder / "tags").write_text(json.dumps(found), encoding="utf-8")

    @override
    def load(self, folder: Path, utterances: Sequence[Utterance]) -> list[list[str]]:
        found = read_json(folder / "tags")
        return [found[u.id] for u in utterances]
