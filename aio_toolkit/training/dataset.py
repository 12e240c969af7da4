"""Utterances of a dumped split as training examples. Letters: T frames, F feature bins, Q
codebooks."""

from collections.abc import Sequence

import torch

from aio_toolkit.answers.base import UnitsByKind
from aio_toolkit.dump.arks import ArkReader
from aio_toolkit.dump.split import DumpDataset, Split
from aio_toolkit.models.batch import Example
from aio_toolkit.tasks import Task, group_by_output


class PretrainingDataset(DumpDataset):
    """Features and codes of the inputs, for stage 3; answers are not read."""

    def __init__(self, split: Split, tasks: Sequence[Task]):
        super().__init__(split, tasks)
        self.codes = ArkReader(split.dump / "codes_wav.scp", integers=True)

    def __getitem__(self, index: int) -> Example:
        utterance = self.utterances[index]
        feats_TF, codes_TQ = self.feats[utterance.id], self.codes[utterance.id]
        return Example(utterance.id, utterance.task, feats_TF, codes_TQ)


class AnswerDataset(DumpDataset):
    """Features of the inputs and the answers of all tasks, for stage 4."""

    def __init__(
        self,
        split: Split,
        tasks: Sequence[Task],
        units: UnitsByKind,
        segment: int | None = None,
    ):
        """Open a split.

        Args:
            split: where it is.
            tasks: tasks to read.
            units: the units of each kind of answer.
            segment: most frames of an example whose answer can be cut, at random; None keeps them
                whole.
        """
        super().__init__(split, tasks)
        self.segment = segment
        self.readers = {}
        for output, of_kind in group_by_output(tasks).items():
            members = [u for u in self.utterances if u.task.output == output]
            self.readers[output] = of_kind[0].kind.open(split.dump, members, units[output])
        if segment is not None:
            self.num_frames = [
                min(frames, segment) if utterance.task.kind.can_be_cut else frames
                for utterance, frames in zip(self.utterances, self.num_frames, strict=True)
            ]

    def __getitem__(self, index: int) -> Example:
        utterance = self.utterances[index]
        task, feats_TF = utterance.task, self.feats[utterance.id]
        span = self._draw_segment(len(feats_TF)) if task.kind.can_be_cut else slice(None)
        target = self.readers[task.output].read(utterance, span, len(feats_TF))
        return Example(utterance.id, task, feats_TF[span], target=target)

    def _draw_segment(self, num_frames: int) -> slice:
        if self.segment is None or num_frames <= self.segment:
            return slice(None)
        start = int(torch.randint(num_frames - self.segment + 1, ()))
        return slice(start, start + self.segment)
