"""True sources read off waves and codes."""

import numpy as np
import pytest
from tiny import NUM_CODEBOOKS, RATE, utterance, with_waves

from aio_toolkit.answers._sources_reader import SourcesReader
from aio_toolkit.answers.base import TargetSource
from aio_toolkit.data.audio import read_audio
from aio_toolkit.data.spans import Span
from aio_toolkit.dump.arks import write_ark
from aio_toolkit.errors import AioError

SILENCE_Q = np.array([4, 7])
# From the second frame into the fourth.
SPAN = Span(320, 700, 320)


@pytest.fixture
def sounds(tmp_path):
    """A mixture of two sounds where three could be."""
    return with_waves(utterance("sound", "sound-0", 9, absent=1), tmp_path / "waves")


def reader_of(utterance, dump, *wanted: str) -> SourcesReader:
    return SourcesReader(TargetSource(dump, [utterance], frozenset(wanted), RATE), SILENCE_Q)


def test_waves_are_the_stretch_of_each_target_and_silence_for_one_that_is_absent(sounds, tmp_path):
    target = reader_of(sounds, tmp_path).read(sounds, SPAN)
    assert target.wave_NS.shape == (3, 700)
    for row, name in enumerate(("sound1", "sound2")):
        whole_S = read_audio(sounds.answers[name], RATE)
        np.testing.assert_array_equal(target.wave_NS[row], whole_S[320:1020])
    assert np.abs(target.wave_NS[2]).max() == 0


def test_codes_are_not_read_unless_they_are_wanted(sounds, tmp_path):
    assert reader_of(sounds, tmp_path).read(sounds, SPAN).codes_NTQ is None


def test_codes_are_those_of_the_stretch_s_frames(sounds, tmp_path):
    rng = np.random.default_rng(0)
    codes = {name: rng.integers(0, 9, (9, NUM_CODEBOOKS)) for name in ("sound1", "sound2")}
    for name, codes_TQ in codes.items():
        write_ark(
            tmp_path / f"codes_{name}.ark", tmp_path / f"codes_{name}.scp", {"sound-0": codes_TQ}
        )
    found_NTQ = reader_of(sounds, tmp_path, "codes").read(sounds, SPAN).codes_NTQ
    np.testing.assert_array_equal(found_NTQ[0], codes["sound1"][1:4])
    np.testing.assert_array_equal(found_NTQ[1], codes["sound2"][1:4])
    assert found_NTQ[2].tolist() == [[4, 7]] * 3


def test_codes_that_stage_2_did_not_make_are_missed_at_once(sounds, tmp_path):
    with pytest.raises(AioError, match="codes_sound1"):
        reader_of(sounds, tmp_path, "codes")
