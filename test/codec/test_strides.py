"""Strides that follow from a sample rate, against a search without rules of thumb."""

import itertools
import math

import pytest

from aio_toolkit.codec.dac import Dac
from aio_toolkit.codec.dac_model import build_dac
from aio_toolkit.codec.strides import strides_for
from aio_toolkit.config import load_config
from aio_toolkit.errors import AioError

KNOWN = {
    8000: [8, 5, 2, 2],
    16000: [8, 5, 4, 2],
    22050: [8, 7, 4, 2],
    24000: [8, 6, 5, 2],
    44100: [9, 7, 7, 2],
    48000: [8, 8, 5, 3],
}


@pytest.mark.parametrize("rate", KNOWN)
def test_usual_rates_have_their_known_strides(rate):
    assert strides_for(rate) == KNOWN[rate]


@pytest.mark.parametrize("rate", [800, 8000, 11025, 12345, 16000, 22050, 44100, 48000, 96000])
def test_the_hop_is_the_nearest_even_one_and_early_strides_are_the_largest(rate):
    every = itertools.product(range(2, 10), repeat=4)
    best, distance = [], math.inf
    for strides in every:
        hop = math.prod(strides)
        if hop % 2 or abs(50 * hop - rate) > distance:
            continue
        if abs(50 * hop - rate) < distance or list(strides) > best:
            best, distance = list(strides), abs(50 * hop - rate)
    assert strides_for(rate) == best


def test_there_are_about_fifty_frames_a_second_at_any_rate():
    for rate in range(4000, 96000, 371):
        assert pytest.approx(rate / math.prod(strides_for(rate)), rel=0.05) == 50


@pytest.mark.parametrize("rate", [0, 100, 400_000])
def test_a_rate_without_strides_is_named(rate):
    with pytest.raises(AioError, match=f"rate of {rate} Hz. Give model.encoder_rates"):
        strides_for(rate)


def test_the_decoder_has_the_encoder_s_strides_in_reverse():
    config = Dac.Config(sample_rate=24000)
    assert config.resolved().encoder_rates == [8, 6, 5, 2]
    assert config.resolved().decoder_rates == [2, 5, 6, 8]
    assert config.hop == 480
    given = Dac.Config(encoder_rates=[2, 3])
    assert (given.hop, given.resolved().decoder_rates) == (6, [3, 2])


def test_strides_that_are_given_stay(tmp_path):
    config = Dac.Config(44100, 4, [2, 4, 8, 8], 8, 16, [8, 8, 4, 2], 2, 11, 4)
    assert config.resolved() == config
    assert build_dac(config).hop_length == 512


def test_a_decoder_of_another_hop_is_refused():
    with pytest.raises(
        AioError, match=r"decoder_rates \[2, 2\] do not undo encoder_rates \[3, 2\]"
    ):
        build_dac(Dac.Config(encoder_rates=[3, 2], decoder_rates=[2, 2]))


def test_a_rate_that_is_told_last_decides(tmp_path):
    """Defaults of nested configurations are made before the command line is read."""
    from aio_toolkit.training.codec import CodecModule

    config = load_config(CodecModule.Config, None, ["model.sample_rate=8000"])
    assert config.model.hop == 160
