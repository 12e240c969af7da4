"""Collation of examples of different tasks."""

import numpy as np
import torch

from aio_toolkit.data.batch import Example, collate


def test_rows_are_sorted_by_task_and_padded():
    examples = [
        Example("sep-1", "sep", np.ones((3, 2), np.float32), None, np.full((2, 3, 4), 7)),
        Example("asr-1", "asr", np.ones((5, 2), np.float32), None, np.array([1, 2, 3])),
        Example("asr-2", "asr", np.ones((2, 2), np.float32), None, np.array([4])),
    ]
    batch = collate(examples, ["asr", "sep"])
    assert batch.ids == ["asr-1", "asr-2", "sep-1"]
    assert batch.task_B.tolist() == [0, 0, 1]
    assert batch.lengths_B.tolist() == [5, 2, 3]
    assert batch.rows == {"asr": slice(0, 2), "sep": slice(2, 3)}
    assert batch.targets["asr"].tolist() == [[1, 2, 3], [4, -1, -1]]
    assert batch.targets["sep"].shape == (1, 2, 5, 4)
    assert (batch.targets["sep"][:, :, :3] == 7).all()
    assert (batch.targets["sep"][:, :, 3:] == -1).all()
    assert batch.feats_BTF.sum(-1).tolist() == [[2, 2, 2, 2, 2], [2, 2, 0, 0, 0], [2, 2, 2, 0, 0]]
    assert batch.codes_BTQ is None


def test_input_codes_are_padded_with_minus_one():
    examples = [Example(f"asr-{n}", "asr", np.zeros((n, 2), np.float32), np.zeros((n, 3), np.int64)) for n in (1, 4)]
    batch = collate(examples, ["asr"])
    assert batch.codes_BTQ.dtype == torch.int64
    assert (batch.codes_BTQ == -1).sum().item() == 9
    assert batch.targets == {}
