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
        number: number of the batch that it was drawn for.

    >>> asr = Task("asr", "speech recognition", "text", ("text",), ("wer",))
    >>> Example("asr-1", asr, np.zeros((5, 80), np.float32)).target is None
    True
    """

    id: str
    task: Task
    feats_TF: np.ndarray
    codes_TQ: np.ndarray | None = None
    target: np.ndarray | None = None
    number: int = 0


@dataclass
class Batch:
    """Examples sorted by task, padded to the longest; `collate` makes it.

    Attributes:
        ids: utterance ids.
        task_B: index of each row's task in the model's list of tasks.
        feats_BTF: features, zero on padding.
        lengths_B: real frames of each row.
        codes_BTQ: codes of the input, -1 on padding; None where not asked for.
        rows: the consecutive rows of each task present, by its name.
        targets: the answers of each task's rows, padded as its kind does.
        number: the batch's number, counted over the whole run and all ranks: what the model draws
            for it depends on the seed and on this alone.
    """

    ids: list[str]
    task_B: torch.Tensor
    feats_BTF: torch.Tensor
    lengths_B: torch.Tensor
    codes_BTQ: torch.Tensor | None
    rows: dict[str, slice]
    targets: dict[str, torch.Tensor]
    number: int = 0


def collate(examples: Sequence[Example], tasks: Sequence[Task]) -> Batch:
    """Put examples into one batch.

    1. Sort them by task.
    2. Pad features and codes to the longest.
    3. Pad the answers of each task as its kind does.

    Args:
        examples: utterances of any of the tasks, one at least.
        tasks: all tasks of the model, in the order of its gates.

    >>> asr = Task("asr", "speech recognition", "text", ("text",), ("wer",))
    >>> long = Example("asr-1", asr, np.ones((5, 2), np.float32), target=np.array([7, 8]))
    >>> short = Example("asr-2", asr, np.ones((3, 2), np.float32), target=np.array([9]))
    >>> batch = collate([long, short], [asr])
    >>> batch.feats_BTF.shape, batch.lengths_B
    (torch.Size([2, 5, 2]), tensor([5, 3]))
    >>> batch.rows, batch.targets["asr"].tolist()
    ({'asr': slice(0, 2, None)}, [[7, 8], [9, -1]])
    """
    place = {task.name: index for index, task in enumerate(tasks)}
    examples = sorted(examples, key=lambda example: place[example.task.name])
    feats = [example.feats_TF for example in examples]
    lengths = [len(feats_TF) for feats_TF in feats]
    codes = [example.codes_TQ for example in examples if example.codes_TQ is not None]

    rows, targets = {}, {}
    for task in tasks:
        members = [row for row, example in enumerate(examples) if example.task.name == task.name]
        if not members:
            continue
        rows[task.name] = slice(members[0], members[-1] + 1)
        answers = [examples[row].target for row in members]
        known = [answer for answer in answers if answer is not None]
        if known:
            # Answers of some kinds are as long as the input, its padding included.
            targets[task.name] = task.kind.collate(known, max(lengths))

    indices = [place[example.task.name] for example in examples]
    return Batch(
        ids=[example.id for example in examples],
        task_B=torch.tensor(indices),
        feats_BTF=pad_arrays(feats, 0.0),
        lengths_B=torch.tensor(lengths),
        codes_BTQ=pad_arrays(codes, -1) if codes else None,
        rows=rows,
        targets=targets,
        number=examples[0].number,
    )
