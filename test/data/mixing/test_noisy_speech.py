"""Speech in noise and rooms against what was drawn."""

import numpy as np
import pytest
from tiny import ALL

from aio_toolkit.data.audio import read_audio
from aio_toolkit.data.mixing.noisy_speech import NoisySpeech
from aio_toolkit.data.mixtures import convolve_rir
from aio_toolkit.errors import AioError

ENH, RATE = ALL["enh"], 8000


def draws(rule: NoisySpeech, count: int) -> list:
    return [rule.draw(np.random.default_rng([3, n]), 800) for n in range(count)]


def make_rule(make, folders, **options) -> NoisySpeech:
    make("speech", {"ann": [900], "bob": [1500]})
    make("noise", {"rain": [300], "hum": [2000]})
    make("rooms", {"hall": [200]})
    sections = {"sources": ["speech"], "noises": ["noise"], "rooms": ["rooms"], **options}
    return NoisySpeech(NoisySpeech.Config(**sections), ENH, folders)


def test_the_noise_is_as_far_below_what_is_heard_of_the_speech_as_drawn(make, folders):
    rule = make_rule(make, folders, room_share=0.5, snr_db=[-3.0, 9.0])
    drawn_db, rooms = [], 0
    for drawn in draws(rule, 60):
        made = rule.render(drawn)
        dry_S = made.targets["speech"]
        response = [piece for piece in drawn.pieces if piece.target == "room"]
        wet_S = dry_S
        if response:
            wet_S = convolve_rir(dry_S, read_audio(response[0].source.wav, RATE))
            rooms += 1
        noise_S = made.input - wet_S
        snr_db = 10 * np.log10(np.square(wet_S).sum() / np.square(noise_S).sum())
        assert snr_db == pytest.approx(-drawn.pieces[-1].gain_db, abs=0.05)
        drawn_db.append(snr_db)
    assert 18 < rooms < 42
    assert -3.1 < min(drawn_db) < -1 and 7 < max(drawn_db) < 9.1


def test_the_target_is_the_dry_speech_in_its_place(make, folders):
    rule = make_rule(make, folders, room_share=1.0)
    for drawn in draws(rule, 8):
        made, speech = rule.render(drawn), drawn.pieces[0]
        whole_S = read_audio(speech.source.wav, RATE)
        want_S = whole_S[speech.start : speech.start + 800]
        got_S = made.targets["speech"]
        gain = np.dot(got_S, want_S) / np.dot(want_S, want_S)
        np.testing.assert_allclose(got_S, gain * want_S, atol=1e-5)
        assert list(made.targets) == ["speech"]


def test_a_short_noise_goes_on_from_its_beginning(make, folders):
    rule = make_rule(make, folders, snr_db=[0.0, 0.0])
    short = next(d for d in draws(rule, 30) if d.pieces[-1].source.speaker == "rain")
    made = rule.render(short)
    noise_S = made.input - made.targets["speech"]
    np.testing.assert_allclose(noise_S[300:600], noise_S[:300], atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noises": []}, "noises names nothing to mix. Name folders"),
        ({"rooms": [], "room_share": 0.5}, "room_share without rooms"),
        ({"snr_db": [5.0]}, "snr_db is the lowest and the highest"),
        ({"snr_db": [5.0, 1.0]}, "snr_db is the lowest and the highest"),
        ({"noises": ["nowhere"]}, "data.mixing.enh: there is no folder"),
    ],
)
def test_options_that_will_not_do_are_named(make, folders, options, message):
    with pytest.raises(AioError, match=message):
        make_rule(make, folders, **options)
