"""What several tests share: a tiny vocabulary, and where real recordings are."""

import os
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Folder of real recordings, where the machine has them."""
    path = Path(os.environ.get("AIO_REALDATA", REPO.parent / "shared" / "realdata"))
    if not path.is_dir():
        pytest.skip(f"real recordings are not at {path} (set AIO_REALDATA)")
    return path


@pytest.fixture(scope="session")
def vocabulary(token):
    """A SentencePiece model of a few sentences."""
    from aio_toolkit.text import Vocabulary

    return Vocabulary.load(token)


@pytest.fixture(scope="session")
def token(tmp_path_factory) -> Path:
    """The folder of that model."""
    from aio_toolkit.text import train_vocabulary

    words = ["red", "blue", "cat", "dog", "sees", "hears", "chat", "chien", "voit", "entend"]
    sentences = [f"{a} {b} {c}" for a in words for b in words for c in words]
    folder = tmp_path_factory.mktemp("token")
    train_vocabulary(sentences, 40, folder)
    return folder
