"""Padding against a loop over rows."""

import numpy as np
import pytest
import torch

from aio_toolkit.answers.padding import pad_arrays


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_rows_are_completed_on_the_axis_that_differs(axis):
    rng = np.random.default_rng(axis)
    arrays = []
    for length in (3, 7, 1):
        shape = [2, 5, 4]
        shape[axis] = length
        arrays.append(rng.standard_normal(shape))
    padded = pad_arrays(arrays, -9.0, axis).numpy()
    assert padded.shape[1 + axis] == 7
    for row, array in zip(padded, arrays, strict=True):
        missing = 7 - array.shape[axis]
        widths = [(0, missing if place == axis else 0) for place in range(3)]
        want = np.pad(array, widths, constant_values=-9.0)
        np.testing.assert_array_equal(row, want.astype(np.float32))


def test_the_length_can_be_given():
    padded = pad_arrays([np.array([1, 2]), np.array([3])], -1, length=4)
    assert padded.tolist() == [[1, 2, -1, -1], [3, -1, -1, -1]]


def test_rows_may_be_empty():
    assert pad_arrays([np.zeros(0, dtype=np.int64)], -1).shape == (1, 0)


@pytest.mark.parametrize(
    ("found", "want"),
    [
        (np.float64, torch.float32),
        (np.float32, torch.float32),
        (np.int16, torch.int64),
        (np.int64, torch.int64),
    ],
)
def test_numbers_become_those_that_models_take(found, want):
    assert pad_arrays([np.ones(2, dtype=found)], 0).dtype == want
