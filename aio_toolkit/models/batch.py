"""A padded batch that mixes tasks. Letters: B batch, T frames, F feature bins, Q codebooks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from aio_toolkit.answers.padding import pad_arrays
from aio_toolkit.tasks import Task


@dataclass
class Example:
    """One utterance, ready for the model.

    Attributes:
        id: utterance id.
        task: its task.
        feats_TF: float32 front-end features.
        codes_TQ: codes of the input, where asked for.
        target: its answer, as the task's kind reads it; None where not asked for.
    """

    id: str
    task: Task
    feats_TF: np.ndarray
    codes_TQ: np.ndarray | None = None
    target: np.ndarray | None = None


@dataclass
class Batch:
    """Examples sorted by task, padded to the longest.

    Attributes:
        ids: utterance ids.
        task_B: index of each row's task in the model's list of tasks.
        feats_BTF: features, zero on padding.
        lengths_B: real frames of each row.
        codes_BTQ: codes of the input, -1 on padding; None where not asked for.
        rows: the consecutive rows of each task present, by its name.
        targets: the answers of each task's rows, padded as its kind does.
    """

    ids: list[str]
    task_B: torch.Tensor
    feats_BTF: torch.Tensor
    lengths_B: torch.Tensor
    codes_BTQ: torch.Tensor | None
    rows: dict[str, slice]
    targets: dict[str, torch.Tensor]


def collate(examples: Sequence[Example], tasks: Sequence[Task]) -> Batch:
    """Put examples into one batch.

    Args:
        examples: utterances of any of the tasks.
        tasks: all tasks of the model, in the order of its gates.
    """
    place = {task.name: index for index, task in enumerate(tasks)}
    examples = sorted(examples, key=lambda example: place[example.task.name])
    lengths = [len(example.feats_TF) for example in examples]
    codes = [example.codes_TQ for example in examples if example.codes_TQ is not None]

    rows, targets = {}, {}
    for task in tasks:
        members = [i for i, example in enumerate(examples) if example.task.name == task.name]
        if not members:
            continue
        rows[task.name] = slice(members[0], members[-1] + 1)
        answers = [examples[i].target for i in members]
        known = [answer for answer in answers if answer is not None]
        if known:
            targets[task.name] = task.kind.collate(known, max(lengths))

    return Batch(
        ids=[example.id for example in examples],
        task_B=torch.tensor([place[example.task.name] for example in examples]),
        feats_BTF=pad_arrays([example.feats_TF for example in examples], 0.0),
        lengths_B=torch.tensor(lengths),
        codes_BTQ=pad_arrays(codes, -1) if codes else None,
        rows=rows,
        targets=targets,
    )
