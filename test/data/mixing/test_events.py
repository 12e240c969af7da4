"""Mixtures of events against what was drawn."""

from collections import Counter

import numpy as np
import pytest
from tiny import ALL

from aio_toolkit.data.audio import read_audio
from aio_toolkit.data.mixing.events import Events
from aio_toolkit.errors import AioError

SOUND = ALL["sound"]


@pytest.fixture
def rule(make, folders) -> Events:
    make("events", {"bell": [700] * 9, "dog": [900], "rain": [300], "saw": [800]})
    return Events(Events.Config(["events"]), SOUND, folders)


def draws(rule: Events, count: int) -> list:
    return [rule.draw(np.random.default_rng([3, n]), 800) for n in range(count)]


def test_two_or_three_classes_meet_evenly_and_no_two_alike(rule):
    drawn = draws(rule, 400)
    assert Counter(len(d.pieces) for d in drawn)[2] == pytest.approx(200, abs=35)
    counts = Counter(piece.source.speaker for d in drawn for piece in d.pieces)
    assert all(200 < count < 300 for count in counts.values())
    for d in drawn:
        assert len({piece.source.speaker for piece in d.pieces}) == len(d.pieces)
        assert [piece.target for piece in d.pieces] == ["sound1", "sound2", "sound3"][
            : len(d.pieces)
        ]


def test_durations_and_places_are_within_the_mixture(rule):
    pieces = [piece for d in draws(rule, 300) for piece in d.pieces]
    for piece in pieces:
        assert piece.start == 0
        assert 0 <= piece.offset <= 800 - piece.num_samples
        assert piece.num_samples == piece.source.num_samples or 400 <= piece.num_samples <= 800
        assert abs(piece.gain_db) <= 2.5
    assert len({piece.offset for piece in pieces}) > 200


def test_events_keep_their_levels_but_for_the_gain(rule):
    for drawn in draws(rule, 10):
        made = rule.render(drawn)
        np.testing.assert_allclose(made.input, sum(made.targets.values()), atol=1e-6)
        common = []
        for piece in drawn.pieces:
            event_S = read_audio(piece.source.wav, 8000)[: piece.num_samples]
            got_S = made.targets[piece.target]
            place = slice(piece.offset, piece.offset + piece.num_samples)
            placed_S = got_S[place]
            gain = np.dot(placed_S, event_S) / np.dot(event_S, event_S)
            np.testing.assert_allclose(placed_S, gain * event_S, atol=1e-5)
            assert not np.delete(
                got_S, np.s_[piece.offset : piece.offset + piece.num_samples]
            ).any()
            common.append(gain / 10 ** (piece.gain_db / 20))
        assert common == pytest.approx([common[0]] * len(common), rel=1e-4)


def test_too_few_classes_are_refused(make, folders):
    make("events", {"bell": [700] * 9, "dog": [900]})
    with pytest.raises(AioError, match="3 classes may meet, the sources have 2. Name more"):
        Events(Events.Config(["events"]), SOUND, folders)
