"""A finished model of all six tasks."""

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
def model(model_folder):
    """The model, loaded."""
    return aio_toolkit.load(model_folder, device="cpu")
