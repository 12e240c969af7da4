"""A padded batch that mixes tasks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from aio_toolkit.tasks import get_task


@dataclass
class Example:
    """One utterance, ready for training.

    Attributes:
        id: utterance id.
        task: its task.
        feats_TF: float32 front-end features.
        codes_TQ: codes of the input, where asked for.
        target: token ids (L,) of a text task, codes (N, T, Q) of an audio task, None in pre-training.
    """

    id: str
    task: str
    feats_TF: np.ndarray
    codes_TQ: np.ndarray | None = None
    target: np.ndarray | None = None


@dataclass
class Batch:
    """Examples sorted by task, padded to the longest.

    Attributes:
        ids: utterance ids.
        task_B: index of each row's task in the model's task list.
        feats_BTF: features, zero on padding.
        lengths_B: real frames of each row.
        codes_BTQ: codes of the input, -1 on padding; None where not asked for.
        rows: the consecutive rows of each task present.
        targets: (b, L) tokens or (b, N, T, Q) codes of each task's rows, -1 on padding.
    """

    ids: list[str]
    task_B: torch.Tensor
    feats_BTF: torch.Tensor
    lengths_B: torch.Tensor
    codes_BTQ: torch.Tensor | None
    rows: dict[str, slice]
    targets: dict[str, torch.Tensor]


def collate(examples: Sequence[Example], tasks: Sequence[str]) -> Batch:
    """Put examples into one batch; `tasks` gives the order of task indices."""
    examples = sorted(examples, key=lambda example: tasks.index(example.task))
    lengths = [len(example.feats_TF) for example in examples]
    has_codes = examples[0].codes_TQ is not None
    rows, targets = {}, {}
    for task in dict.fromkeys(example.task for example in examples):
        members = [index for index, example in enumerate(examples) if example.task == task]
        rows[task] = slice(members[0], members[-1] + 1)
        if examples[members[0]].target is not None:
            # Codes get the whole batch's length, as frames do; text needs its own longest sentence only.
            frames = max(lengths) if get_task(task).output == "audio" else None
            targets[task] = _pad([examples[index].target for index in members], -1, frames)
    return Batch(
        ids=[example.id for example in examples],
        task_B=torch.tensor([tasks.index(example.task) for example in examples]),
        feats_BTF=_pad([example.feats_TF for example in examples], 0.0),
        lengths_B=torch.tensor(lengths),
        codes_BTQ=_pad([example.codes_TQ for example in examples], -1) if has_codes else None,
        rows=rows,
        targets=targets,
    )


def _pad(arrays: list[np.ndarray], value: float, length: int | None = None) -> torch.Tensor:
    """Stack arrays that differ in time: the first axis of (T, ...) and (L,), the second of (N, T, Q)."""
    axis = 1 if arrays[0].ndim == 3 else 0
    length = length or max(array.shape[axis] for array in arrays)
    shape = list(arrays[0].shape)
    shape[axis] = length
    out = np.full((len(arrays), *shape), value, dtype=np.float32 if arrays[0].dtype.kind == "f" else np.int64)
    for row, array in zip(out, arrays, strict=True):
        row[(slice(None),) * axis + (slice(array.shape[axis]),)] = array
    return torch.from_numpy(out)
