"""Mixtures of speakers against what was drawn."""

from collections import Counter

import numpy as np
import pytest
from tiny import ALL

from aio_toolkit.data.audio import read_audio
from aio_toolkit.data.mixing.speakers import Speakers
from aio_toolkit.data.resampling import change_speed
from aio_toolkit.errors import AioError

SEP, RATE = ALL["sep"], 8000


def draws(rule: Speakers, count: int, num_samples: int = 800) -> list:
    return [rule.draw(np.random.default_rng([3, n]), num_samples) for n in range(count)]


def energy(wave_S: np.ndarray) -> float:
    return float(np.square(wave_S, dtype=np.float64).sum())


@pytest.fixture
def rule(make, folders) -> Speakers:
    make("speech", {"ann": [900] * 20, "bob": [2000], "cy": [700]})
    return Speakers(Speakers.Config(["speech"], level_db=4.0, speed=[0.8, 1.0, 1.25]), SEP, folders)


def test_speakers_are_drawn_evenly_however_much_they_have_recorded(rule):
    counts = Counter(piece.source.speaker for drawn in draws(rule, 600) for piece in drawn.pieces)
    # 400 expected, with a standard deviation of 11.5.
    assert counts.keys() == {"ann", "bob", "cy"}
    assert all(350 < count < 450 for count in counts.values())


def test_nobody_is_mixed_with_themselves(rule):
    for drawn in draws(rule, 200):
        first, second = drawn.pieces
        assert first.source.speaker != second.source.speaker
        assert (first.target, second.target) == ("spk1", "spk2")


def test_what_is_rendered_is_what_was_drawn(rule):
    """Stretch, speed, place and level, from the whole file by another way."""
    for drawn in draws(rule, 12):
        made = rule.render(drawn)
        np.testing.assert_allclose(made.input, sum(made.targets.values()), atol=1e-6)
        assert np.abs(made.input).max() <= drawn.peak + 1e-6
        assert 0.5 <= drawn.peak <= 0.9
        gains = []
        for piece in drawn.pieces:
            whole_S = read_audio(piece.source.wav, RATE)
            stretch_S = change_speed(whole_S[piece.start :][: piece.num_samples], piece.speed)
            place = slice(piece.offset, piece.offset + len(stretch_S))
            want_S = np.zeros(800)
            want_S[place] = stretch_S[: 800 - piece.offset]
            got_S = made.targets[piece.target]
            gain = energy(got_S) / energy(want_S)
            np.testing.assert_allclose(got_S, want_S * gain**0.5, atol=1e-4)
            gains.append(gain * np.square(stretch_S).mean())
        level_db = 10 * np.log10(gains[1] / gains[0])
        assert level_db == pytest.approx(
            drawn.pieces[1].gain_db - drawn.pieces[0].gain_db, abs=0.01
        )


def test_levels_and_speeds_cover_what_they_may(rule):
    pieces = [piece for drawn in draws(rule, 300) for piece in drawn.pieces[1:]]
    levels = [piece.gain_db for piece in pieces]
    assert -4 <= min(levels) < -3.8 and 3.8 < max(levels) <= 4
    assert {piece.speed for piece in pieces} == {0.8, 1.0, 1.25}


def test_stretches_fill_the_mixture_where_the_source_is_long_enough(rule):
    for drawn in draws(rule, 100):
        for piece in drawn.pieces:
            assert piece.start + piece.num_samples <= piece.source.num_samples
            filled = piece.num_samples / piece.speed
            assert filled >= 799 or piece.num_samples == piece.source.num_samples


def test_the_same_generator_draws_the_same_mixture(rule):
    assert draws(rule, 3) == draws(rule, 3)


def test_two_or_three_may_speak(make, folders):
    make("speech", {"ann": [900], "bob": [900], "cy": [900]})
    sound = ALL["sound"]
    rule = Speakers(Speakers.Config(["speech"], counts=[2, 3]), sound, folders)
    assert Counter(len(drawn.pieces) for drawn in draws(rule, 200)).keys() == {2, 3}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Speakers.Config([]), "data.mixing.sep: sources names nothing"),
        (Speakers.Config(["nowhere"]), "data.mixing.sep: there is no folder .*nowhere"),
        (Speakers.Config(["speech:st"]), "utt2task is missing"),
        (Speakers.Config(["alone"]), "2 speakers are to be mixed, the sources have 1. Name more"),
        (Speakers.Config(["speech"], counts=[3]), "counts .3. do not suit 2 targets"),
        (Speakers.Config(["speech"], share=1.5), "share 1.5 is not in"),
    ],
)
def test_sources_that_will_not_do_are_named(make, folders, config, message):
    make("speech", {"ann": [900], "bob": [900]})
    make("alone", {"ann": [900, 900]})
    with pytest.raises(AioError, match=message):
        Speakers(config, SEP, folders)
