"""WAV files as they are written."""

import numpy as np
import soundfile

from aio_toolkit.data.wav_writer import Subtype, WavWriter, write_wav

RATE = 8000


def test_a_float_file_holds_no_time_so_that_the_same_samples_are_the_same_bytes(tmp_path):
    """libsndfile's chunk of peaks holds the second in which the file was made."""
    wave_S = np.array([0.5, 1.5, -0.25], dtype=np.float32)
    write_wav(tmp_path / "a.wav", wave_S, RATE, Subtype.float_32)

    read, rate = soundfile.read(tmp_path / "a.wav", dtype="float32")
    assert b"PEAK" not in (tmp_path / "a.wav").read_bytes()
    assert rate == RATE
    np.testing.assert_array_equal(read, wave_S)


def test_blocks_of_several_channels_make_the_file_that_the_whole_makes(tmp_path):
    """Odd sizes; the header is right at the end."""
    wave_SC = np.random.default_rng(0).uniform(-1, 1, (1001, 3)).astype(np.float32)
    write_wav(tmp_path / "whole.wav", wave_SC, RATE, Subtype.float_32)
    with WavWriter(tmp_path / "blocks.wav", RATE, 3, Subtype.float_32) as writer:
        for first in range(0, 1001, 77):
            writer.write(wave_SC[first : first + 77])

    assert (tmp_path / "blocks.wav").read_bytes() == (tmp_path / "whole.wav").read_bytes()
    np.testing.assert_array_equal(soundfile.read(tmp_path / "blocks.wav")[0], wave_SC)
