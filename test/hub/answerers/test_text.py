"""Words of recordings of any length, cut at pauses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import RATE, named, tiny_model

from aio_toolkit.decoding.text import Hypothesis, Search
from aio_toolkit.errors import AioError
from aio_toolkit.hub.answerers import text as module
from aio_toolkit.hub.answerers.text import SHORTEST, TextAnswerer, stretches
from aio_toolkit.hub.formats import Word
from aio_toolkit.hub.recording import to_recording

# Seconds of the longest stretch.
LONGEST = 8.0


def spans(wave_S, rate):
    found = stretches([wave_S], rate, int(LONGEST * rate))
    return [(one.start, one.start + len(one.wave_S)) for one in found]


def answered(one, wave_S):
    (answer,) = [
        one.joined(pieces, one.Options())
        for pieces in one.answers([lambda: to_recording(wave_S, RATE)], one.Options(), at_once=2)
    ]
    return answer


@pytest.mark.parametrize(
    ("trained", "asked", "seconds"),
    [(2.5, None, 2.5), (0.1, None, 1.0), (2.5, 0.6, 0.6), (0.1, 4.0, 4.0)],
)
def test_stretches_are_as_long_as_examples_of_training_or_as_the_user_wants(
    answerer, trained, asked, seconds, monkeypatch
):
    monkeypatch.setitem(answerer.model.example_seconds, "asr", trained)
    # Loud at its beginning: the quietest place is as late as can be.
    wave_S = spoken(9.7) * np.linspace(2, 0.1, int(9.7 * RATE)).astype(np.float32)
    options = answerer.Options(window=asked)
    found = [len(one.wave_S) for one in answerer.cut(to_recording(wave_S, RATE), options)]
    assert sum(found) == len(wave_S)
    assert 0.9 * seconds * RATE < max(found) <= seconds * RATE


def test_stretches_that_nobody_could_hear_are_refused(answerer):
    with pytest.raises(AioError, match="window: 0 is not from 0.01 to 3600 seconds"):
        answerer.check(answerer.Options(window=0.0))


@given(seconds=st.floats(0.01, 60.0), seed=st.integers(0, 9))
def test_stretches_follow_each_other_and_are_as_long_as_a_model_may_hear(seconds, seed):
    rate = 100
    wave_S = np.random.default_rng(seed).standard_normal(max(1, int(seconds * rate)))
    found = spans(wave_S, rate)
    assert [start for start, _ in found] == [0, *(end for _, end in found[:-1])]
    assert found[-1][1] == len(wave_S)
    assert all(end - start <= LONGEST * rate for start, end in found)
    assert all(end - start >= int(SHORTEST * LONGEST * rate) for start, end in found[:-1])


def test_speech_is_cut_in_its_pauses():
    rate = 1000
    wave_S = np.random.default_rng(0).standard_normal(18 * rate)
    for second in (6, 11):
        wave_S[second * rate : second * rate + 100] = 0.0
    (_, first), (_, second), *_ = spans(wave_S, rate)
    assert 6000 <= first <= 6100
    assert 11000 <= second <= 11100


@pytest.fixture
def answerer(vocabulary) -> TextAnswerer:
    (task,) = named("asr")
    model = tiny_model(vocabulary, tasks=[task]).eval()
    model.example_seconds["asr"] = LONGEST
    return TextAnswerer(model, task, lambda: None)


def spoken(seconds: float) -> np.ndarray:
    wave_S = np.random.default_rng(0).standard_normal(int(seconds * RATE)).astype(np.float32)
    return wave_S / 4


class Searching:
    """A decoder that finds what it is told, row by row."""

    def __init__(self, head, sentences):
        self.head, self.sentences, self.heard = head, iter(sentences), []

    def search(self, frames):
        self.heard += frames.samples_B.tolist()
        return [next(self.sentences) for _ in frames.samples_B]


def test_a_short_recording_is_answered_as_decoding_does_with_all_its_alternatives(answerer):
    wave_S = spoken(0.8)
    decoder = answerer.decoder(answerer.Options())
    frames = answerer.frames([wave_S])
    (hypotheses,) = decoder.search(frames)
    answer = answered(answerer, wave_S)
    assert [answer.text] == decoder.decode(frames)
    assert answer.alternatives == hypotheses
    assert answer.score == hypotheses[0].score == max(one.score for one in hypotheses)


def test_the_words_of_all_stretches_follow_each_other(answerer, monkeypatch):
    wave_S = spoken(LONGEST * 3.2)
    found = [[], [Hypothesis("the small", -1.0)], [], [Hypothesis("dog", -3.0)], [], [], []]
    searching = Searching(answerer.model.heads["text"], found)
    monkeypatch.setattr(answerer, "decoder", lambda options: searching)
    answer = answered(answerer, wave_S)
    assert sum(searching.heard) == len(wave_S)
    assert len(searching.heard) >= 3
    assert answer.text == "the small dog"
    assert answer.score == -4.0
    assert answer.alternatives == ()


def test_words_of_later_stretches_are_timed_from_the_beginning_of_the_recording(
    answerer, monkeypatch
):
    words = [Word("dog", 0.5, 0.75)]
    monkeypatch.setattr(module, "align", lambda *arguments: words)
    searching = Searching(answerer.model.heads["text"], [[Hypothesis("dog", -1.0)]] * 9)
    monkeypatch.setattr(answerer, "decoder", lambda options: searching)
    wave_S = spoken(LONGEST * 1.5)
    starts = [start / RATE for start, _ in spans(wave_S, RATE)]
    assert len(starts) > 1
    want = [Word("dog", start + 0.5, start + 0.75) for start in starts]
    assert answered(answerer, wave_S).words == want


@pytest.mark.parametrize("search", ["beam", "greedy"])
def test_the_search_that_is_asked_for_is_made(answerer, search):
    options = answerer.Options(search=Search(search), beam_size=2)
    found = answerer.decoder(options).config
    assert (found.search, found.beam_size) == (search, 2)


def test_of_silence_nothing_is_said(answerer, monkeypatch):
    monkeypatch.setattr(answerer, "decoder", lambda options: None)
    assert answered(answerer, np.zeros(RATE, np.float32)).text == ""


def test_a_translation_has_no_times(vocabulary):
    (task,) = named("st")
    answerer = TextAnswerer(tiny_model(vocabulary, tasks=[task]).eval(), task, lambda: None)
    assert answered(answerer, spoken(0.5)).words == []
