"""Which sources are there, by their energies."""

import pytest

from aio_toolkit.errors import AioError
from aio_toolkit.hub.audible import audible

ENERGIES = {"a": 60.0, "b": 1.01, "c": 38.0, "d": 0.99}


def test_sources_of_a_hundredth_of_the_energy_are_there_and_quieter_ones_are_not():
    assert audible(ENERGIES) == ["a", "b", "c"]


@pytest.mark.parametrize(("num", "want"), [(1, ["a"]), (2, ["a", "c"]), (4, ["a", "b", "c", "d"])])
def test_the_loudest_are_answered_in_their_own_order(num, want):
    assert audible(ENERGIES, num) == want


@pytest.mark.parametrize("num", [0, 5])
def test_more_sources_than_there_are_are_refused(num):
    with pytest.raises(AioError, match=f"num_sources: {num} is not from 1 to 4"):
        audible(ENERGIES, num)


def test_in_silence_all_are_kept():
    assert audible({"a": 0.0, "b": 0.0}) == ["a", "b"]
