"""How long files say they are, before any of their samples is decoded."""

import av
import numpy as np
import pytest
import soundfile

from aio_toolkit.data import foreign_audio
from aio_toolkit.data.length import announced_seconds


def write_foreign(path, codec: str, seconds: float) -> None:
    rate, size = 16000, int(16000 * seconds)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        for start in range(0, size, 1024):
            piece = np.zeros((1, min(1024, size - start)), np.float32)
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = rate, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg"])
def test_a_file_of_libsndfile_tells_its_samples_over_its_rate(tmp_path, name):
    soundfile.write(tmp_path / name, np.zeros((33075, 2)), 22050)
    assert announced_seconds(tmp_path / name) == 1.5


def test_a_foreign_file_tells_its_length_without_being_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(foreign_audio, "_decode", None)
    write_foreign(tmp_path / "a.m4a", "aac", seconds=3.0)
    # A codec's first frames may count.
    assert announced_seconds(tmp_path / "a.m4a") == pytest.approx(3.0, abs=0.2)


def test_what_is_no_audio_tells_nothing(tmp_path):
    (tmp_path / "a.wav").write_text("not a sound")
    assert announced_seconds(tmp_path / "a.wav") is None
