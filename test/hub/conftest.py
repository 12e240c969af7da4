"""A finished model of all six tasks."""

import shutil
from pathlib import Path

import pytest

import aio_toolkit


@pytest.fixture(scope="package")
def model_folder(vocabulary, tmp_path_factory) -> Path:
    """What stage 4 leaves."""
    from tiny import named, save_tiny, tiny_model

    folder = tmp_path_factory.mktemp("model")
    tasks = named("asr", "st", "sep", "enh", "sound", "music")
    save_tiny(folder / "model.pt", tiny_model(vocabulary, tasks=tasks))
    return folder


@pytest.fixture(scope="package")
def packed(model_folder, tmp_path_factory) -> Path:
    """The same, packed; not to be changed."""
    from aio_toolkit.hub.card import About
    from aio_toolkit.hub.pack import pack_model

    folder = tmp_path_factory.mktemp("packed") / "pack"
    pack_model(model_folder, folder, About("tiny", "cc-by-4.0", ["mini_aio"]))
    return folder


@pytest.fixture
def pack(packed, tmp_path) -> Path:
    """A copy of the pack, to be changed."""
    return Path(shutil.copytree(packed, tmp_path / "pack"))


@pytest.fixture(scope="package")
def model(model_folder):
    """The model, loaded."""
    return aio_toolkit.load(model_folder, device="cpu")
