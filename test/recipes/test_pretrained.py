"""The model that comes with mini_aio, and its examples: what a newcomer hears first."""

from pathlib import Path

import pytest

import aio_toolkit
from aio_toolkit.data.datadir import read_data_dir
from aio_toolkit.hub.model import Model

RECIPE = Path(__file__).resolve().parents[2] / "egs" / "mini_aio"


@pytest.fixture(scope="module")
def model() -> Model:
    return aio_toolkit.load(RECIPE / "pretrained", device="cpu")


@pytest.fixture
def examples(model, monkeypatch):
    """The utterance of each task."""
    monkeypatch.chdir(RECIPE)  # data dirs hold paths from here
    return {u.task.name: u for u in read_data_dir(RECIPE / "examples", model.tasks)}


def test_it_is_small_and_knows_the_tasks_of_the_recipe(model, examples):
    size = sum(path.stat().st_size for path in (RECIPE / "pretrained").rglob("*"))
    assert size <= 20_000_000
    assert list(model.tasks) == ["asr", "st", "sep", "enh", "sound", "music"]
    assert examples.keys() == model.tasks.keys()
