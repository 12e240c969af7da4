"""Utterances of a dumped split as training examples.

An item of a dataset is asked for by its `Draw`: its place in the run decides what is drawn for it.
Letters: T frames, F feature bins, Q codebooks.
"""

from collections.abc import Sequence

import numpy as np

from aio_toolkit.answers.base import TargetReader, UnitsByKind
from aio_toolkit.data.sampler import Draw
from aio_toolkit.dump.arks import ArkReader
from aio_toolkit.dump.split import DumpDataset, Split
from aio_toolkit.models.batch import Example
from aio_toolkit.tasks import Task, group_by_output


class PretrainingDataset(DumpDataset):
    """Features and codes of the inputs, for stage 3; answers are not read.

    Attributes:
        codes: codes (T, Q) of the inputs, by utterance id.
    """

    def __init__(self, split: Split, tasks: Sequence[Task]):
        """Open a split; AioError where stage 2 has not finished."""
        super().__init__(split, tasks)
        self.codes = ArkReader(split.dump / "codes_wav.scp", integers=True)

    def __getitem__(self, draw: Draw) -> Example:
        utterance = self.utterances[draw.index]
        return Example(
            id=utterance.id,
            task=utterance.task,
            feats_TF=self.feats[utterance.id],
            codes_TQ=self.codes[utterance.id],
            number=draw.batch,
        )


class AnswerDataset(DumpDataset):
    """Features of the inputs and the answers of all tasks, for stage 4.

    Attributes:
        segment: most frames of an example whose answer can be cut; None: no example is cut.
        seed: fixes, together with its place in the run, where an example is cut.
        readers: what reads the answers of a kind, by the kind's name.
    """

    def __init__(
        self,
        split: Split,
        tasks: Sequence[Task],
        units: UnitsByKind,
        segment: int | None = None,
        seed: int = 0,
    ):
        """Open a split.

        Args:
            split: where it is.
            tasks: tasks to read.
            units: the units of each kind of answer.
            segment: most frames of an example whose answer can be cut, at random; None keeps them
                whole.
            seed: fixes, together with its place in the run, where an example is cut.

        Raises:
            AioError: stage 2 has not finished.
        """
        super().__init__(split, tasks)
        self.segment = segment
        self.seed = seed
        self.readers: dict[str, TargetReader] = {}
        for output, of_kind in group_by_output(tasks).items():
            kind = of_kind[0].kind
            members = [u for u in self.utterances if u.task.output == output]
            self.readers[output] = kind.open(split.dump, members, units[output])
        # Batches are planned by the lengths that examples will have.
        pairs = zip(self.utterances, self.num_frames, strict=True)
        self.num_frames = [self._length(utterance.task, frames) for utterance, frames in pairs]

    def __getitem__(self, draw: Draw) -> Example:
        utterance = self.utterances[draw.index]
        task = utterance.task
        feats_TF = self.feats[utterance.id]
        num_frames = len(feats_TF)

        span = self._draw_span(task, num_frames, draw)
        reader = self.readers[task.output]
        return Example(
            id=utterance.id,
            task=task,
            feats_TF=feats_TF[span],
            target=reader.read(utterance, span, num_frames),
            number=draw.batch,
        )

    def _length(self, task: Task, num_frames: int) -> int:
        """Frames of the example that is made of so many."""
        if self.segment is None or not task.kind.can_be_cut:
            return num_frames
        return min(num_frames, self.segment)

    def _draw_span(self, task: Task, num_frames: int, draw: Draw) -> slice:
        """The frames that become the example."""
        length = self._length(task, num_frames)
        if length == num_frames:
            return slice(None)
        # A generator of the example's own: workers, ranks and restarts cut it alike.
        rng = np.random.default_rng([self.seed, draw.batch, draw.row])
        latest = num_frames - length
        start = int(rng.integers(latest + 1))
        return slice(start, start + length)
