"""Answers of any length in files."""

import numpy as np
import pytest
import soundfile

from aio_toolkit.data.wav_writer import Subtype
from aio_toolkit.errors import AioError
from aio_toolkit.hub.answers import AudioAnswer
from aio_toolkit.hub.wave_folder import write_waves

RATE = 8000


def pieces(num: int):
    """Pieces of two channels, and what they are together."""
    rng = np.random.default_rng(0)
    for size in range(1, num + 1):
        a, b, rest = rng.uniform(-0.3, 0.3, (3, 2, 100 * size)).astype(np.float32)
        yield AudioAnswer("sep", RATE, {"a": a, "b": b}, rest)


def read(path) -> np.ndarray:
    return soundfile.read(path, dtype="float32")[0].T


def test_files_hold_all_pieces_one_after_the_other(tmp_path):
    write_waves(pieces(3), tmp_path, Subtype.float_32, lambda energies: ())
    whole = AudioAnswer.joined([*pieces(3)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "b.wav", "rest.wav"]
    np.testing.assert_array_equal(read(tmp_path / "a.wav"), whole["a"])
    np.testing.assert_array_equal(read(tmp_path / "rest.wav"), whole.rest)


def test_targets_that_are_not_wanted_are_in_the_rest(tmp_path):
    asked = []

    def unwanted(energies):
        asked.append(energies)
        return {"b"}

    (tmp_path / "b.wav").write_text("of an earlier answer")
    write_waves(pieces(3), tmp_path, Subtype.float_32, unwanted)
    whole = AudioAnswer.joined([*pieces(3)])
    assert asked[0] == pytest.approx(whole.energies())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "rest.wav"]
    np.testing.assert_allclose(read(tmp_path / "rest.wav"), whole.rest + whole["b"], atol=1e-7)


def test_a_recording_that_breaks_off_leaves_nothing(tmp_path):
    def broken():
        yield from pieces(2)
        raise AioError("the file ends")

    with pytest.raises(AioError, match="the file ends"):
        write_waves(broken(), tmp_path, Subtype.float_32, lambda energies: ())
    assert list(tmp_path.iterdir()) == []


def test_integers_clip_with_a_warning(tmp_path, capsys):
    loud = AudioAnswer("enh", RATE, {"a": np.array([[2.0, 0.5]])}, np.zeros((1, 2)))
    write_waves([loud], tmp_path, Subtype.pcm_16, lambda energies: ())
    assert read(tmp_path / "a.wav").tolist() == [32767 / 32768, 0.5]
    assert "1 of 2 samples beyond [-1, 1] are clipped" in capsys.readouterr().err
