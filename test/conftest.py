"""What several tests share: a tiny vocabulary, its units, a dump of random features."""

import os
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent
# They import one another by names that are not on the path until a test puts them there.
collect_ignore = ["packages"]


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Folder of real recordings, where the machine has them."""
    path = Path(os.environ.get("AIO_REALDATA", REPO.parent / "shared" / "realdata"))
    if not path.is_dir():
        pytest.skip(f"real recordings are not at {path} (set AIO_REALDATA)")
    return path


@pytest.fixture(scope="session")
def vocabulary():
    """A SentencePiece model of a few sentences."""
    from aio_toolkit.text import Vocabulary, train_sentencepiece

    words = ["red", "blue", "cat", "dog", "sees", "hears", "chat", "chien", "voit", "entend"]
    sentences = [f"{a} {b} {c}" for a in words for b in words for c in words]
    return Vocabulary.of_model(train_sentencepiece(sentences, 40), ["asr", "st"])


@pytest.fixture(scope="session")
def units(vocabulary, tmp_path_factory) -> Path:
    """The folder of the units of stage 2: that vocabulary, and the vectors of a random codec."""
    import torch
    from tiny import codec_units

    folder = tmp_path_factory.mktemp("units")
    vocabulary.save(folder / "text")
    (folder / "audio").mkdir()
    torch.manual_seed(0)
    torch.save(codec_units().state(), folder / "audio" / "codec.pt")
    return folder


@pytest.fixture
def silent_video(tmp_path) -> Path:
    """A film of black pictures."""
    import av
    import numpy as np

    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
