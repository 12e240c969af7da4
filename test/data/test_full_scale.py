"""Samples of every type as floats."""

import numpy as np
import pytest

from aio_toolkit.data.full_scale import to_full_scale


@pytest.mark.parametrize("type_", [np.int8, np.int16, np.int32])
def test_the_least_of_a_signed_type_is_minus_one_and_zero_is_zero(type_):
    least = np.iinfo(type_).min
    found = to_full_scale(np.array([least, 0, 1, -(least // 2)], type_))
    assert found.tolist() == [-1.0, 0.0, 1 / -float(least), 0.5]


@pytest.mark.parametrize(("type_", "middle"), [(np.uint8, 128), (np.uint16, 2**15)])
def test_the_middle_of_an_unsigned_type_is_zero(type_, middle):
    found = to_full_scale(np.array([0, middle, middle + middle // 2], type_))
    assert found.tolist() == [-1.0, 0.0, 0.5]


def test_floats_are_left_alone():
    samples = np.array([2.5, -1.0], np.float32)
    assert to_full_scale(samples) is samples
