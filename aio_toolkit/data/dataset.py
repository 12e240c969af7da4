"""Utterances of a dumped split as training examples."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from aio_toolkit.data.arks import ArkReader
from aio_toolkit.data.batch import Example
from aio_toolkit.data.datadir import Utterance, read_data_dir
from aio_toolkit.data.sources import present_sources
from aio_toolkit.errors import AioError
from aio_toolkit.tasks import get_task
from aio_toolkit.text import Vocabulary


class DumpDataset(Dataset):
    """Features and codes of stage 2, joined with the data dir.

    Attributes:
        utterances: those of the chosen tasks, in the data dir's order.
        num_frames: frames of each.
    """

    def __init__(self, data_dir: Path, dump_dir: Path, tasks: Sequence[str]):
        self.dump_dir = dump_dir
        self.utterances = [u for u in read_data_dir(data_dir) if u.task in tasks]
        absent = set(tasks) - {u.task for u in self.utterances}
        if absent:
            raise AioError(
                f"{data_dir} has no utterance of task {', '.join(sorted(absent))}. "
                "Take it out of data.seconds in the configuration, or prepare data for it (stage 1)."
            )
        self.feats = ArkReader(dump_dir / "feats.scp")
        num_frames = read_num_frames(dump_dir)
        missing = next((u.id for u in self.utterances if u.id not in num_frames), None)
        if missing is not None:
            raise AioError(f"{dump_dir}/utt2num_frames lacks {missing} of {data_dir}. Run stage 2 again.")
        self.num_frames = [num_frames[u.id] for u in self.utterances]

    def __len__(self) -> int:
        return len(self.utterances)


def read_num_frames(dump_dir: Path) -> dict[str, int]:
    """Frames of every utterance of a dumped split."""
    path = dump_dir / "utt2num_frames"
    if not path.is_file():
        raise AioError(f"{path} does not exist. Run stage 2 (tokenization) first.")
    return {key: int(count) for key, count in map(str.split, path.read_text(encoding="utf-8").splitlines())}


class PretrainingDataset(DumpDataset):
    """Features and codes of the inputs, for stage 3; labels are not read."""

    def __init__(self, data_dir: Path, dump_dir: Path, tasks: Sequence[str]):
        super().__init__(data_dir, dump_dir, tasks)
        self.codes = ArkReader(dump_dir / "codes_wav.scp", integers=True)

    def __getitem__(self, index: int) -> Example:
        utterance = self.utterances[index]
        return Example(utterance.id, utterance.task, self.feats[utterance.id], self.codes[utterance.id])


class AioDataset(DumpDataset):
    """Features of the inputs and the answers of all tasks, for stage 4."""

    def __init__(
        self,
        data_dir: Path,
        dump_dir: Path,
        tasks: Sequence[str],
        vocabulary: Vocabulary | None,
        silence_Q: np.ndarray | None,
        segment: int | None = None,
    ):
        """Read a split.

        Args:
            data_dir: data dir.
            dump_dir: its dump.
            tasks: tasks to read.
            vocabulary: text units, needed for text tasks.
            silence_Q: the codec's codes of digital silence, the answer for a source that is absent.
            segment: most frames of an audio task's example, cut at random; None keeps them whole.
        """
        super().__init__(data_dir, dump_dir, tasks)
        self.segment = segment
        if segment is not None:
            pairs = zip(self.utterances, self.num_frames, strict=True)
            self.num_frames = [n if get_task(u.task).output == "text" else min(n, segment) for u, n in pairs]
        self.vocabulary = vocabulary
        self.silence_Q = silence_Q
        # A target that no utterance of the split has (a third sound) has no file.
        targets = sorted({source for utterance in self.utterances for source in present_sources(utterance)})
        self.codes = {target: ArkReader(dump_dir / f"codes_{target}.scp", integers=True) for target in targets}

    def __getitem__(self, index: int) -> Example:
        utterance = self.utterances[index]
        feats_TF = self.feats[utterance.id]
        task = get_task(utterance.task)
        if task.output == "text":
            target = np.array(self.vocabulary.encode(utterance.texts[task.targets[0]]), dtype=np.int64)
            return Example(utterance.id, utterance.task, feats_TF, target=target)
        codes_NTQ = np.stack([self._target_codes(utterance, target, len(feats_TF)) for target in task.sources])
        kept = self._draw_segment(len(feats_TF))
        return Example(utterance.id, utterance.task, feats_TF[kept], target=codes_NTQ[:, kept])

    def _draw_segment(self, num_frames: int) -> slice:
        if self.segment is None or num_frames <= self.segment:
            return slice(None)
        start = int(torch.randint(num_frames - self.segment + 1, ()))
        return slice(start, start + self.segment)

    def _target_codes(self, utterance: Utterance, target: str, num_frames: int) -> np.ndarray:
        if target not in present_sources(utterance):
            return np.tile(self.silence_Q, (num_frames, 1))
        return self.codes[target][utterance.id]
