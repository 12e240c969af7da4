"""A padded batch that mixes tasks. Letters: B batch, S samples, T frames, Q codebooks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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
        wave_S: the input, float32.
        codes_TQ: codes of the input; None where it has none, or they are not asked for.
        target: its answer, as the task's kind reads it; None where not asked for.
        number: number of the batch that it was drawn for.
        inputs: what the task hears besides, by the input's name.

    >>> asr = Task("asr", "speech recognition", "text", ("text",), ("wer",))
    >>> Example("asr-1", asr, np.zeros(1600, np.float32)).target is None
    True
    """

    id: str
    task: Task
    wave_S: np.ndarray
    codes_TQ: np.ndarray | None = None
    target: Any = None
    number: int = 0
    inputs: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass
class FurtherInput:
    """What some rows of a batch hear besides their recording.

    Attributes:
        wave_RS: waves, zero on padding.
        samples_R: real samples of each.
        rows: the row of the batch that each belongs to.
    """

    wave_RS: torch.Tensor
    samples_R: torch.Tensor
    rows: list[int]


@dataclass
class Batch:
    """Examples sorted by task, padded to the longest; `collate` makes it.

    Attributes:
        ids: utterance ids.
        task_B: index of each row's task in the model's list of tasks.
        wave_BS: inputs, zero on padding.
        samples_B: real samples of each row.
        codes_BTQ: codes of the input, -1 on padding and in rows without; None where no row has any.
        rows: the consecutive rows of each task present, by its name.
        targets: the answers of each task's rows, padded as its kind does.
        number: the batch's number, counted over the whole run and all ranks: what the model draws
            for it depends on the seed and on this alone.
        inputs: what rows hear besides, by the input's name.
    """

    ids: list[str]
    task_B: torch.Tensor
    wave_BS: torch.Tensor
    samples_B: torch.Tensor
    codes_BTQ: torch.Tensor | None
    rows: dict[str, slice]
    targets: dict[str, Any]
    number: int = 0
    inputs: dict[str, FurtherInput] = field(default_factory=dict)

    def inputs_on(self, device: torch.device) -> "Batch":
        """The inputs on a device; answers, which decoding has not, are left out."""
        inputs = {
            name: FurtherInput(
                of_name.wave_RS.to(device), of_name.samples_R.to(device), of_name.rows
            )
            for name, of_name in self.inputs.items()
        }
        return Batch(
            ids=self.ids,
            task_B=self.task_B.to(device),
            wave_BS=self.wave_BS.to(device),
            samples_B=self.samples_B.to(device),
            codes_BTQ=None,
            rows=self.rows,
            targets={},
            number=self.number,
            inputs=inputs,
        )


def collate(examples: Sequence[Example], tasks: Sequence[Task], hop: int, step: int = 1) -> Batch:
    """Put examples into one batch.

    1. Sort them by task.
    2. Pad waves and codes to the longest, rounded up.
    3. Pad the answers of each task as its kind does.

    Args:
        examples: utterances of any of the tasks, one at least.
        tasks: all tasks of the model, in the order of its gates.
        hop: samples of a frame.
        step: the samples of a padded row are a multiple of this number.

    >>> asr = Task("asr", "speech recognition", "text", ("text",), ("wer",))
    >>> long = Example("asr-1", asr, np.ones(5, np.float32), target=np.array([7, 8]))
    >>> short = Example("asr-2", asr, np.ones(3, np.float32), target=np.array([9]))
    >>> batch = collate([long, short], [asr], hop=2)
    >>> batch.wave_BS.shape, batch.samples_B
    (torch.Size([2, 5]), tensor([5, 3]))
    >>> batch.rows, batch.targets["asr"].tolist()
    ({'asr': slice(0, 2, None)}, [[7, 8], [9, -1]])
    """
    place = {task.name: index for index, task in enumerate(tasks)}
    examples = sorted(examples, key=lambda example: place[example.task.name])
    waves = [example.wave_S for example in examples]
    lengths = [len(wave_S) for wave_S in waves]
    size = -(-max(lengths) // step) * step

    rows, targets = {}, {}
    for task in tasks:
        members = [row for row, example in enumerate(examples) if example.task.name == task.name]
        if not members:
            continue
        rows[task.name] = slice(members[0], members[-1] + 1)
        answers = [examples[row].target for row in members if examples[row].target is not None]
        if answers:
            # Answers of some kinds are as long as the input, its padding included.
            targets[task.name] = task.kind.collate(answers, size, hop)

    return Batch(
        ids=[example.id for example in examples],
        task_B=torch.tensor([place[example.task.name] for example in examples]),
        wave_BS=pad_arrays(waves, 0.0, length=size),
        samples_B=torch.tensor(lengths),
        codes_BTQ=pad_codes([example.codes_TQ for example in examples], size, hop),
        rows=rows,
        targets=targets,
        number=examples[0].number,
        inputs=pad_inputs(examples),
    )


def pad_inputs(examples: Sequence[Example]) -> dict[str, FurtherInput]:
    """What examples hear besides their recordings, by the input's name.

    >>> tse = Task("tse", "target speaker", "audio", ("speech",), ("si_sdr",), inputs=("enrol",))
    >>> wave_S = np.zeros(9, np.float32)
    >>> one = Example("tse-1", tse, wave_S, inputs={"enrol": np.ones(4, np.float32)})
    >>> pad_inputs([Example("tse-0", tse, wave_S), one])["enrol"].rows
    [1]
    """
    names = dict.fromkeys(name for example in examples for name in example.inputs)
    padded = {}
    for name in names:
        rows = [row for row, example in enumerate(examples) if name in example.inputs]
        waves = [examples[row].inputs[name] for row in rows]
        lengths = torch.tensor([len(wave_S) for wave_S in waves])
        padded[name] = FurtherInput(pad_arrays(waves, 0.0), lengths, rows)
    return padded


def pad_codes(
    codes: Sequence[np.ndarray | None], num_samples: int, hop: int
) -> torch.Tensor | None:
    """Codes (B, T, Q) of waves with so many samples, -1 where there are none; None without any.

    >>> pad_codes([np.array([[5], [6]]), None], num_samples=6, hop=2)[..., 0]
    tensor([[ 5,  6, -1],
            [-1, -1, -1]])
    """
    known = [codes_TQ for codes_TQ in codes if codes_TQ is not None]
    if not known:
        return None
    nothing_TQ = known[0][:0]
    filled = [nothing_TQ if codes_TQ is None else codes_TQ for codes_TQ in codes]
    return pad_arrays(filled, -1, length=-(-num_samples // hop))
