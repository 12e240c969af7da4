"""Arrays of different lengths as one tensor."""

from collections.abc import Sequence

import numpy as np
import torch


def pad_arrays(
    arrays: Sequence[np.ndarray], value: float, axis: int = 0, length: int | None = None
) -> torch.Tensor:
    """Stack arrays that differ in the length of one axis.

    Args:
        arrays: the rows, one at least; the other axes agree.
        value: what completes the shorter ones.
        axis: the axis that differs.
        length: its length in the result; the longest array's by default.

    Returns:
        float32 or int64, with one axis more in front.

    >>> pad_arrays([np.array([1, 2]), np.array([3])], value=-1)
    tensor([[ 1,  2],
            [ 3, -1]])
    """
    if length is None:
        length = max(array.shape[axis] for array in arrays)
    first = arrays[0]
    shape = [len(arrays), *first.shape]
    shape[1 + axis] = length
    # Codes are small integers on disk, which torch would not take for indices.
    dtype = np.float32 if first.dtype.kind == "f" else np.int64

    padded = np.full(shape, value, dtype=dtype)
    for row, array in zip(padded, arrays, strict=True):
        # With the axis in front, whatever the others are.
        target = np.moveaxis(row, axis, 0)
        target[: array.shape[axis]] = np.moveaxis(array, axis, 0)
    return torch.from_numpy(padded)
