"""What libsndfile reads: to the bit as `soundfile.read` does, in blocks and from anywhere."""

import io

import numpy as np
import odd_audio
import pytest
import soundfile

from aio_toolkit.data.audio import read_span
from aio_toolkit.data.native_audio import open_native
from aio_toolkit.errors import AioError

FORMATS = {
    "flac": ("FLAC", "PCM_16"),
    "vorbis": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "ima_adpcm": ("WAV", "IMA_ADPCM"),
}


@pytest.fixture(params=FORMATS)
def content(request) -> bytes:
    """Ten seconds of a sweep with noise: codecs reach back to what was before."""
    rng, time_S = np.random.default_rng(0), np.arange(80000) / 8000
    wave_S = 0.3 * np.sin(2 * np.pi * 100 * time_S**2) + 0.02 * rng.standard_normal(80000)
    file = io.BytesIO()
    format, subtype = FORMATS[request.param]
    soundfile.write(file, wave_S, 8000, format=format, subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize("size", [999, 2**20])
def test_pieces_are_what_soundfile_reads_at_once(content, size):
    whole_SC = odd_audio.reference(content)
    with open_native(io.BytesIO(content), "a") as decoder:
        np.testing.assert_array_equal(np.concatenate(list(decoder.pieces(size, 0))), whole_SC)
        for start in (12345, 0):
            again_SC = np.concatenate(list(decoder.pieces(size, start)))
            # The decoder of MP3 rounds otherwise the second time.
            np.testing.assert_allclose(again_SC, whole_SC[start:], atol=1e-6)


@pytest.mark.parametrize("start", [1, 777, 30001, 79000])
def test_a_stretch_is_that_of_the_whole(content, start, tmp_path):
    whole_SC = odd_audio.reference(content)
    path = tmp_path / "a"
    path.write_bytes(content)
    found_S = read_span(str(path), 8000, start, 900)
    np.testing.assert_array_equal(found_S, whole_SC[start : start + 900, 0])


def test_asking_for_the_end_does_not_change_what_is_read(content):
    whole_SC = odd_audio.reference(content)
    with open_native(io.BytesIO(content), "a") as decoder:
        assert decoder.ends_as_told() and decoder.num_samples == len(whole_SC)
        found_SC = np.concatenate(list(decoder.pieces(10**6, 0)))
    np.testing.assert_allclose(found_SC, whole_SC, atol=1e-6)


def test_a_piece_holds_no_more_memory_than_its_samples():
    content = odd_audio.wav(bytes(200))
    with open_native(io.BytesIO(content), "a") as decoder:
        [piece] = decoder.pieces(2**20, 0)
    base = piece if piece.base is None else piece.base
    assert base.size == 100


def test_a_header_that_promises_more_than_any_memory_is_told():
    flac = bytearray(odd_audio.coded("flac", "FLAC", "PCM_16"))
    flac[21] |= 0x0F
    with (
        open_native(io.BytesIO(bytes(flac)), "a.flac") as decoder,
        pytest.raises(AioError, match=r"a\.flac is cut off or damaged: 9001 of \d{11} samples"),
    ):
        list(decoder.pieces(2**16, 0))


def test_a_file_damaged_in_its_middle_is_told(tmp_path):
    flac = bytearray(odd_audio.coded("flac", "FLAC", "PCM_16"))
    middle = len(flac) // 2
    flac[middle : middle + 2000] = bytes(2000)
    with (
        open_native(io.BytesIO(bytes(flac)), "a.flac") as decoder,
        pytest.raises(AioError, match="is cut off or damaged"),
    ):
        list(decoder.pieces(1000, 0))


@pytest.mark.parametrize(("start", "says"), [(1000, None), (8500, "less than 8500 of 9001")])
def test_stretches_of_a_cut_file_are_there_or_told(tmp_path, start, says):
    path = tmp_path / "a.flac"
    flac = odd_audio.coded("flac", "FLAC", "PCM_16")
    path.write_bytes(flac[: int(0.8 * len(flac))])
    if says is None:
        found_S = read_span(str(path), 8000, start, 200)
        whole_SC = odd_audio.reference(flac)[start : start + 200]
        np.testing.assert_allclose(found_S, whole_SC.mean(1), atol=1e-7)
    else:
        with pytest.raises(AioError, match=says):
            read_span(str(path), 8000, start, 200)


def test_flac_without_a_length_is_none():
    flac = odd_audio.coded("flac", "FLAC", "PCM_16")
    with open_native(io.BytesIO(odd_audio.without_length(flac)), "a") as decoder:
        assert decoder is None


@pytest.mark.parametrize("kind", ["sphere", "wav_pcm24", "stereo_float", "flac", "vorbis"])
def test_what_stands_behind_the_samples_is_not_read(kind):
    content, samples_SC = odd_audio.KINDS[kind]()
    with open_native(io.BytesIO(content + b"x" * 1001), "a") as decoder:
        assert decoder.ends_as_told() and decoder.num_samples == len(samples_SC)
        np.testing.assert_array_equal(np.concatenate(list(decoder.pieces(999, 0))), samples_SC)


def test_sphere_that_counts_no_samples_is_read_to_its_end():
    content, samples_SC = odd_audio.KINDS["sphere"]()
    streamed = content.replace(b"sample_count -i 2501", b"sample_count -i 0   ")
    for header in (streamed, content.replace(b"sample_count", b"sample_kount")):
        with open_native(io.BytesIO(header), "a") as decoder:
            assert decoder.num_samples == len(samples_SC)


def test_only_floats_may_hold_nan():
    for coding in odd_audio.CODINGS:
        raw, _ = odd_audio.stored(coding)
        with open_native(io.BytesIO(odd_audio.wav(raw, coding)), "a") as decoder:
            assert decoder.may_hold_nan == (coding in ("float", "double"))
