"""Kaldi's archives: what stands in them as in files, what as numbers, and what cannot be told."""

import kaldiio
import numpy as np
import odd_audio
import pytest
from whole_audio import read_channels

from aio_toolkit.data.audio import is_ark_offset, open_audio
from aio_toolkit.errors import AioError


def _ark(folder, *entries: bytes) -> list[str]:
    """An archive of entries, and where each is."""
    path, specs, content = folder / "a.ark", [], b""
    for number, entry in enumerate(entries):
        content += f"utt-{number} ".encode()
        specs.append(f"{path}:{len(content)}")
        content += entry
    path.write_bytes(content)
    return specs


@pytest.mark.parametrize("coding", odd_audio.CODINGS)
def test_files_of_every_coding_stand_side_by_side(tmp_path, coding):
    raw, samples_SC = odd_audio.stored(coding, 2)
    content = odd_audio.wav(raw, coding, 2)
    for spec in _ark(tmp_path, content, content, content):
        np.testing.assert_array_equal(read_channels(spec)[0], samples_SC)


@pytest.mark.parametrize("kind", ["flac", "sphere", "rf64", "rifx", "ima_adpcm", "wavex"])
def test_other_files_stand_side_by_side(tmp_path, kind):
    content, samples_SC = odd_audio.KINDS[kind]()
    for spec in _ark(tmp_path, content, content):
        np.testing.assert_array_equal(read_channels(spec)[0], samples_SC)


def _streamed(form: bytes) -> bytes:
    return odd_audio.wav(odd_audio.stored("pcm16")[0], sizes=(0, 0), form=form)


FLAC = odd_audio.coded("flac", "FLAC", "PCM_16")


@pytest.mark.parametrize("unknown", [_streamed(b"RIFF"), odd_audio.without_length(FLAC)])
@pytest.mark.parametrize("behind", [odd_audio.wav(bytes(9000)), _streamed(b"RF64"), FLAC])
def test_a_length_that_is_not_told_is_refused_before_others(tmp_path, unknown, behind):
    first, last = _ark(tmp_path, unknown, behind)
    with pytest.raises(AioError, match=r"a\.ark:6 does not tell how long it is.*others?"):
        read_channels(first)
    read_channels(last)


@pytest.mark.parametrize("dtype", [np.int16, np.uint8])
def test_a_range_of_rows_is_what_kaldi_means_by_it(tmp_path, dtype):
    numbers_S = np.random.default_rng(0).integers(0, 255, 500).astype(dtype)
    kaldiio.save_ark(str(tmp_path / "a.ark"), {"a": (8000, numbers_S)})
    found_SC, _ = read_channels(f"{tmp_path}/a.ark:2[10:19]")
    full, middle = (2**15, 0) if dtype == np.int16 else (128, 128)
    assert found_SC.dtype == np.float32
    np.testing.assert_array_equal(found_SC[:, 0] * full + middle, numbers_S[10:20])


def test_what_kaldiio_packs_by_soundfile_is_read(tmp_path):
    numbers_SC = np.random.default_rng(0).integers(-99, 99, (500, 2)).astype(np.int16)
    options = {"write_function": "soundfile", "write_kwargs": {"format": "flac"}}
    kaldiio.save_ark(str(tmp_path / "a.ark"), {"a": (8000, numbers_SC)}, **options)
    with open_audio(f"{tmp_path}/a.ark:2") as stream:
        assert (stream.sample_rate, stream.num_channels) == (8000, 2)
        for start in (0, 123):
            found_SC = np.concatenate(list(stream.blocks(7, start)))
            assert found_SC.dtype == np.float32
            np.testing.assert_array_equal(found_SC * 2**15, numbers_SC[start:])


def test_offsets_are_told_from_names():
    assert is_ark_offset("a b.ark:0") and is_ark_offset("a.ark:12[0:9]")
    assert not is_ark_offset("a.ark") and not is_ark_offset("a.ark:") and not is_ark_offset("a:b")
