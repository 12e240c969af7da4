"""What a page shows of answers of every kind, and which recordings it takes."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from aio_toolkit.errors import AioError
from aio_toolkit.hub import cards
from aio_toolkit.hub.answers import AudioAnswer, TextAnswer
from aio_toolkit.hub.cards import Upload, line_of, read_within, show
from aio_toolkit.hub.formats import Word
from aio_toolkit.hub.recording import Recording

RATE = 8000


def wave(*samples: float) -> np.ndarray:
    return np.array([samples], np.float32)


def shown_of(answer, heard=None):
    heard = wave(0.5, -0.25, 0.125) if heard is None else heard
    return show("a task", Upload(heard, RATE, "a.wav"), answer)


def test_the_recording_comes_first_then_the_sources_then_the_rest():
    waves = {"drums": wave(0.25, 0, 0), "bass": wave(0, 0.125, 0)}
    shown = shown_of(AudioAnswer("music", RATE, waves, rest=wave(0, 0, -0.5)))
    assert [card.title for card in shown.cards] == ["a.wav", "drums", "bass", "rest"]
    assert (shown.title, shown.sentence, list(shown.words)) == ("a task", "", [])
    # Full scale is 32767.
    heard = [(card.wave_SC[:, 0] / 32767).round(3).tolist() for card in shown.cards]
    assert heard == [[0.5, -0.25, 0.125], [0.25, 0, 0], [0, 0.125, 0], [0, 0, -0.5]]
    assert {card.rate for card in shown.cards} == {RATE}


def test_sources_have_channels_in_columns():
    heard = np.array([[0.5, 0.25], [0.0, -0.25], [0.125, 0.125]], np.float32).T
    (card,) = shown_of(TextAnswer("asr", "a", -1.0), heard).cards
    assert card.wave_SC.shape == (3, 2)
    np.testing.assert_allclose(card.wave_SC / 32767, heard.T, atol=1e-4)
    assert card.wave_SC.dtype == np.int16


def test_one_gain_keeps_all_from_being_clipped():
    waves = {"speech": wave(2.0, -0.5)}
    shown = shown_of(AudioAnswer("enh", RATE, waves, rest=wave(-1.0, 0)), heard=wave(1.0, -0.5))
    found = [(card.wave_SC[:, 0] / 32767).round(3).tolist() for card in shown.cards]
    assert found == [[0.5, -0.25], [1.0, -0.25], [-0.5, 0.0]]


def test_soft_recordings_are_not_made_louder():
    (card,) = shown_of(TextAnswer("asr", "a", -1.0), heard=wave(0.01, 0.0)).cards
    assert card.wave_SC[0, 0] == round(0.01 * 32767)


def test_pictures_have_the_scale_of_the_recording(monkeypatch):
    asked = []
    monkeypatch.setattr(cards, "draw", lambda wave_CS, rate, scale, words: asked.append(scale))
    shown_of(AudioAnswer("enh", RATE, {"speech": wave(0.1, 0, 0)}, rest=wave(0.0, 0, 0)))
    assert [scale.amplitude for scale in asked] == [0.5, 0.5, 0.5]


def test_a_text_has_its_sentence_and_the_places_of_its_words():
    words = [Word("hello", 0.1, 0.2)]
    shown = shown_of(TextAnswer("asr", "hello", -1.0, words=words))
    assert (shown.sentence, shown.words) == ("hello", words)
    assert [card.title for card in shown.cards] == ["a.wav"]


def test_a_text_without_words_is_told():
    assert shown_of(TextAnswer("asr", "", 0.0)).sentence == "(no words)"


def test_an_answer_of_another_kind_is_shown_as_it_is_printed():
    assert shown_of(["dog", "bark"]).sentence == "['dog', 'bark']"


@pytest.mark.parametrize(("samples", "taken"), [(480, True), (481, False)])
def test_the_longest_recording_is_taken_and_a_longer_one_is_not(tmp_path, samples, taken):
    soundfile.write(tmp_path / "a.wav", np.zeros(samples), RATE)
    if taken:
        assert read_within(tmp_path / "a.wav", max_minutes=0.001).wave_CS.shape == (1, samples)
        return
    with pytest.raises(AioError, match=r"a.wav lasts more than 0.06 s, which are the most"):
        read_within(tmp_path / "a.wav", max_minutes=0.001)


def test_of_a_long_file_no_more_is_decoded_than_may_be(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", np.zeros(RATE), RATE)
    decoded = []

    def blocks():
        for _ in range(100):
            decoded.append(1)
            yield np.zeros((1, RATE // 10), np.float32)

    monkeypatch.setattr(cards, "to_recording", lambda path: Recording(blocks(), RATE, "a.wav"))
    with pytest.raises(AioError, match=r"lasts more than 0.6 s"):
        read_within(tmp_path / "a.wav", max_minutes=0.01)
    assert len(decoded) == 7


@pytest.mark.parametrize("name", ["touch {}/made |", "{}/made.ark:12"])
def test_a_name_that_a_data_dir_takes_for_a_command_or_an_archive_is_refused(tmp_path, name):
    with pytest.raises(AioError, match=r"not the name of an audio file. Rename it."):
        read_within(Path(name.format(tmp_path)), max_minutes=1)
    assert list(tmp_path.iterdir()) == []


def test_an_error_is_one_line_with_the_name_that_the_file_had():
    path = Path("/tmp/x/abc/my talk.wav")
    line = line_of(AioError(f"{path} is wrong:\n{path}. Cut it."), path)
    assert line == "my talk.wav is wrong: my talk.wav. Cut it."
    assert not re.search("/tmp", line)
