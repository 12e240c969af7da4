"""Words of recordings of any length, cut at pauses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import RATE, named, tiny_model

from aio_toolkit.decoding.text import Hypothesis
from aio_toolkit.hub.answerers import text as module
from aio_toolkit.hub.answerers.text import LONGEST, SHORTEST, TextAnswerer, stretches
from aio_toolkit.hub.formats import Word
from aio_toolkit.hub.recording import Recording


@given(seconds=st.floats(0.01, 60.0), seed=st.integers(0, 9))
def test_stretches_follow_each_other_and_are_as_long_as_a_model_may_hear(seconds, seed):
    rate = 100
    wave_S = np.random.default_rng(seed).standard_normal(max(1, int(seconds * rate)))
    found = stretches(wave_S, rate)
    assert [start for start, _ in found] == [0, *(end for _, end in found[:-1])]
    assert found[-1][1] == len(wave_S)
    assert all(end - start <= LONGEST * rate for start, end in found)
    assert all(end - start >= SHORTEST * rate for start, end in found[:-1])


def test_speech_is_cut_in_its_pauses():
    rate = 1000
    wave_S = np.random.default_rng(0).standard_normal(20 * rate)
    for second in (6, 12):
        wave_S[second * rate : second * rate + 50] = 0.0
    (_, first), (_, second), *_ = stretches(wave_S, rate)
    assert first == 6025
    assert 12000 <= second <= 12050


@pytest.fixture
def answerer(vocabulary) -> TextAnswerer:
    (task,) = named("asr")
    return TextAnswerer(tiny_model(vocabulary, tasks=[task]).eval(), task)


def spoken(seconds: float) -> Recording:
    wave_S = np.random.default_rng(0).standard_normal(int(seconds * RATE)).astype(np.float32)
    return Recording(wave_S[None] / 4, RATE)


def test_a_short_recording_is_answered_as_decoding_does_with_all_its_alternatives(answerer):
    recording = spoken(0.8)
    frames = answerer.frames([recording.wave_CS[0]])
    (hypotheses,) = answerer.decoder.search(frames)
    answer = answerer.answer(recording)
    assert [answer.text] == answerer.decoder.decode(frames)
    assert answer.alternatives == hypotheses
    assert answer.score == hypotheses[0].score == max(one.score for one in hypotheses)


def test_the_words_of_all_stretches_follow_each_other(answerer, monkeypatch):
    heard = []

    def search(frames):
        heard.append(int(frames.samples_B[0]))
        words = {1: "the small", 3: "dog"}.get(len(heard))
        return [[Hypothesis(words, -1.0 * len(heard))] if words else []]

    monkeypatch.setattr(answerer.decoder, "search", search)
    answer = answerer.answer(spoken(LONGEST * 2.2))
    assert sum(heard) == int(LONGEST * 2.2 * RATE)
    assert len(heard) >= 3
    assert answer.text == "the small dog"
    assert answer.score == -4.0
    assert answer.alternatives == ()


def test_words_of_later_stretches_are_timed_from_the_beginning_of_the_recording(
    answerer, monkeypatch
):
    words = [Word("dog", 0.5, 0.75)]
    monkeypatch.setattr(module, "align", lambda *arguments: words)
    monkeypatch.setattr(answerer.decoder, "search", lambda frames: [[Hypothesis("dog", -1.0)]])
    recording = spoken(LONGEST * 1.5)
    spans = stretches(recording.wave_CS[0], RATE)
    starts = [start / RATE for start, _ in spans]
    assert len(starts) > 1
    want = [Word("dog", start + 0.5, start + 0.75) for start in starts]
    assert answerer.answer(recording).words == want


def test_a_translation_has_no_times(vocabulary):
    (task,) = named("st")
    answerer = TextAnswerer(tiny_model(vocabulary, tasks=[task]).eval(), task)
    assert answerer.answer(spoken(0.5)).words == []
