"""Answers as files."""

import numpy as np
import soundfile

from aio_toolkit.hub.answers import AudioAnswer, TextAnswer


def test_waves_are_written_as_they_are_even_beyond_full_scale(tmp_path):
    waves = {"spk1": np.array([[1.5, -0.25], [0.5, 0.125]], np.float32)}
    rest_CS = np.array([[0.25, 0.0], [0.0, -2.0]], np.float32)
    AudioAnswer("sep", 44100, waves, rest_CS).save(tmp_path / "new")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["rest.wav", "spk1.wav"]
    for name, want_CS in (("spk1", waves["spk1"]), ("rest", rest_CS)):
        found_SC, rate = soundfile.read(tmp_path / "new" / f"{name}.wav")
        np.testing.assert_array_equal(found_SC.T, want_CS)
        assert rate == 44100


def test_text_is_written_with_its_accents(tmp_path):
    TextAnswer("st", "le garçon rêve", -2.0).save(tmp_path / "new")
    assert (tmp_path / "new" / "st.txt").read_text(encoding="utf-8") == "le garçon rêve\n"
