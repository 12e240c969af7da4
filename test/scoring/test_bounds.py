"""Bounds that are kept: read where all they depend on is the same, and only there."""

import numpy as np
import pytest
from tiny import utterance

from aio_toolkit.scoring.base import Key
from aio_toolkit.scoring.bounds import BoundsStore

KEY = Key("mixture", "speech", "si_sdr")


@pytest.fixture
def store(tmp_path) -> BoundsStore:
    return BoundsStore(tmp_path / "bounds")


def test_bounds_come_back_with_what_cannot_be_scored(store):
    path = store.path("enh", [], {})
    assert store.read(path) == {}
    store.write(path, {"a": {KEY: np.array([1.5, np.nan])}, "b": {}})
    found = store.read(path)
    np.testing.assert_array_equal(found["a"][KEY], [1.5, np.nan])
    assert found["b"] == {}


def test_other_data_tasks_or_options_have_other_files(store):
    one, other = utterance("enh", "enh-1", 5), utterance("enh", "enh-1", 6)
    paths = [
        store.path("enh", [one], {"codec": None}),
        store.path("enh", [other], {"codec": None}),
        store.path("enh", [one], {"codec": "x"}),
        store.path("sep", [one], {"codec": None}),
    ]
    assert len(set(paths)) == 4
    assert store.path("enh", [one], {"codec": None}) == paths[0]
