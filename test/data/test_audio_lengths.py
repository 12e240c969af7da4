"""What files say of their length: whether it is believed, and files that end too early."""

import io
import re
import struct

import numpy as np
import odd_audio
import pytest
import soundfile
from whole_audio import read_channels

from aio_toolkit.data import audio
from aio_toolkit.data.audio import open_audio, read_header
from aio_toolkit.data.audio_lengths import ogg_is_whole, tells_length
from aio_toolkit.errors import AioError

KEPT = 0.7
# Kinds of files that say how many samples they have, and those of `KEPT` of their bytes.
TOLD = ["wav_pcm16", "wav_pcm24", "stereo_float", "wav_ulaw", "rf64", "rifx", "titles_before"]
TOLD += ["ima_adpcm", "ms_adpcm", "wavex", "sphere", "sphere_shorten", "flac", "mp3", "aiff"]


def _cut(kind: str, folder) -> tuple[str, int]:
    """A file without its end, and its samples before."""
    path, samples_SC = odd_audio.make(kind, folder)
    content = path.read_bytes()
    path.write_bytes(content[: int(KEPT * len(content))])
    return str(path), len(samples_SC)


def _error(call, *args) -> str:
    with pytest.raises(AioError) as caught:
        call(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", TOLD)
def test_a_cut_file_is_told_with_what_is_there_and_what_should_be(tmp_path, kind):
    path, size = _cut(kind, tmp_path)
    says = _error(read_channels, path)
    there, promised = map(int, re.search(r"(\d+) of (\d+) samples", says).groups())
    assert promised == size
    # Compressed files come in frames of up to 4096 samples.
    assert (KEPT - 0.5) * size < there < (KEPT + 0.1) * size
    assert path in says and "ffmpeg -i" in says


@pytest.mark.parametrize("kind", TOLD)
def test_stage_1_says_of_a_cut_file_what_stage_2_would(tmp_path, kind):
    path, _ = _cut(kind, tmp_path)
    assert _error(read_header, path) == _error(read_channels, path)


@pytest.mark.parametrize("kind", TOLD)
def test_a_cut_file_is_told_in_a_pipe(tmp_path, kind):
    path, size = _cut(kind, tmp_path)
    assert f"of {size} samples" in _error(read_channels, f"cat {path} |")


@pytest.mark.parametrize("kind", ["wav_pcm16", "flac"])
def test_a_cut_file_is_told_at_the_end_of_an_archive(tmp_path, kind):
    path, size = _cut(kind, tmp_path)
    ark = tmp_path / "a.ark"
    with open(path, "rb") as file:
        ark.write_bytes(b"utt " + file.read())
    assert f"of {size} samples" in _error(read_channels, f"{ark}:4")


@pytest.mark.parametrize("kind", ["vorbis", "opus"])
def test_a_cut_ogg_is_told_with_what_is_there(tmp_path, kind):
    # More than one page of sound.
    rng, path = np.random.default_rng(0), tmp_path / "a.ogg"
    samples_S = rng.uniform(-0.5, 0.5, 99000)
    soundfile.write(path, samples_S, odd_audio.RATE, format="OGG", subtype=kind.upper())
    content = path.read_bytes()
    for kept in (len(content) - 1, len(content) * 2 // 3):
        path.write_bytes(content[:kept])
        says = _error(read_channels, str(path))
        there = int(re.search(r"cut off or damaged: (\d+) samples", says)[1])
        assert 0 < there < 99000
        assert says == _error(read_header, str(path))


@pytest.mark.parametrize("size", [500, 2**18])
@pytest.mark.parametrize("kind", TOLD)
def test_what_is_there_of_a_cut_file_is_read_on_request(tmp_path, capsys, kind, size):
    (path, _), (_, samples_SC) = _cut(kind, tmp_path), odd_audio.KINDS[kind]()
    there = int(re.search(r"(\d+) of \d+ samples", _error(read_channels, path))[1])
    with open_audio(path, partial=True) as stream:
        blocks = list(stream.blocks(size))
    assert {len(block_SC) for block_SC in blocks[:-1]} <= {size}
    found_SC = np.concatenate(blocks)
    assert len(found_SC) == there
    # FFmpeg makes up the end of the block of shorten that breaks off.
    sure = there - 256 * (kind == "sphere_shorten")
    np.testing.assert_array_equal(found_SC[:sure], samples_SC[:sure])
    told = capsys.readouterr().err
    assert told.count(f"notice: {path} is cut off or damaged: {there} of ") == 1


def test_of_a_whole_file_nothing_is_told_on_request(tmp_path, capsys):
    path, samples_SC = odd_audio.make("flac", tmp_path)
    with open_audio(str(path), partial=True) as stream:
        np.testing.assert_array_equal(np.concatenate(list(stream.blocks(500))), samples_SC)
    assert capsys.readouterr().err == ""


def test_of_a_header_alone_nothing_can_be_read_on_request(tmp_path):
    raw, _ = odd_audio.stored("pcm16")
    path = tmp_path / "a.wav"
    path.write_bytes(odd_audio.wav(raw)[:44])
    with (
        pytest.raises(AioError, match="cut off or damaged: 0 of 2503 samples"),
        open_audio(str(path), partial=True) as stream,
    ):
        list(stream.blocks(500))


@pytest.mark.parametrize("lacking", [1, 3])
def test_a_wav_that_lacks_less_than_a_sample_is_told(tmp_path, lacking):
    raw, samples_SC = odd_audio.stored("pcm24", 2)
    path = tmp_path / "a.wav"
    path.write_bytes(odd_audio.wav(raw, "pcm24", 2)[:-lacking])
    size = len(samples_SC)
    assert f"{size - 1} of {size} samples" in _error(read_channels, str(path))


def test_a_header_that_promises_a_part_of_a_sample_is_right():
    raw, samples_SC = odd_audio.stored("pcm16")
    content = odd_audio.wav(raw, sizes=(len(raw) + 37, len(raw) + 1))
    np.testing.assert_array_equal(read_channels(io.BytesIO(content))[0], samples_SC)


def test_a_wav_of_no_samples_but_titles_holds_none(tmp_path):
    path = tmp_path / "a.wav"
    titles = struct.pack("<4sI", b"LIST", 8) + b"INFOabcd"
    path.write_bytes(odd_audio.wav(b"", behind=titles))
    assert "holds no samples" in _error(read_channels, str(path))
    assert "holds no samples" in _error(read_header, str(path))


def _vbr(size: int = 60000) -> tuple[bytes, int]:
    """MP3 that is quiet first, then loud: what its first frames are like, the rest is not."""
    loud_S = np.random.default_rng(0).uniform(-0.5, 0.5, size) * (np.arange(size) > size // 2)
    file, more = io.BytesIO(), {"bitrate_mode": "VARIABLE", "compression_level": 0.3}
    soundfile.write(file, loud_S, 16000, format="MP3", subtype="MPEG_LAYER_III", **more)
    return file.getvalue(), size


def test_mp3_without_a_table_is_read_to_its_end(tmp_path):
    content, size = _vbr()
    path = tmp_path / "a.mp3"
    path.write_bytes(odd_audio.without_table(content))
    # The estimate of the header is no length.
    assert abs(soundfile.info(path).frames - size) > size / 10
    samples_SC, rate = read_channels(str(path))
    assert rate == 16000
    # An MP3 begins with up to two frames of silence, and ends with up to one.
    assert size <= len(samples_SC) < size + 3 * 1152
    loud = np.abs(samples_SC).max(1) > 0.05
    assert abs(np.argmax(loud) - size // 2) < 3 * 1152
    assert read_header(str(path)).num_samples == len(samples_SC)


def test_mp3_that_was_joined_of_two_is_read_to_its_end(tmp_path):
    content, size = _vbr()
    path = tmp_path / "a.mp3"
    path.write_bytes(content + content)
    assert len(read_channels(str(path))[0]) > 1.9 * size
    assert read_header(str(path)).num_samples == len(read_channels(str(path))[0])


@pytest.mark.parametrize("titles", [0, 300, 70000])
def test_mp3_behind_titles_tells_its_length(titles):
    content, _ = _vbr()
    sizes = bytes(titles >> shift & 127 for shift in (21, 14, 7, 0))
    tagged = b"ID3\4\0\0" + sizes + bytes(titles) + content
    for mp3, tells in ((tagged, True), (odd_audio.without_table(content), False)):
        assert tells_length(io.BytesIO(mp3)) == tells


def test_lengths_are_counted_once_until_the_file_changes(tmp_path, monkeypatch):
    audio._counted.cache_clear()
    path, samples_SC = odd_audio.make("flac_without_length", tmp_path)
    opened = []
    count = audio.count_samples
    monkeypatch.setattr(audio, "count_samples", lambda *args: opened.append(1) or count(*args))
    for _ in range(3):
        assert read_header(str(path)).num_samples == len(samples_SC)
    assert len(opened) == 1
    raw, _ = odd_audio.stored("pcm16", size=123)
    path.write_bytes(odd_audio.wav(raw, sizes=(0, 0)))
    assert read_header(str(path)).num_samples == 123


def test_nan_is_found_where_the_length_is_not_told(tmp_path):
    raw, _ = odd_audio.stored("float")
    values = np.frombuffer(raw, "<f4").copy()
    values[2000] = np.nan
    path = tmp_path / "a.wav"
    path.write_bytes(odd_audio.wav(values.tobytes(), "float", sizes=(0, 0)))
    assert "first at sample 2000" in _error(read_header, str(path))
    assert "first at sample 2000" in _error(read_channels, str(path))


def test_an_ogg_is_whole_if_its_last_page_is():
    content = odd_audio.coded("vorbis", "OGG", "VORBIS")
    assert ogg_is_whole(io.BytesIO(content))
    assert ogg_is_whole(io.BytesIO(content + b"titles"))
    last = content.rindex(b"OggS")
    for kept in (last + 4, last + 26, last + 27, last + 28, len(content) - 1):
        assert not ogg_is_whole(io.BytesIO(content[:kept]))
    assert not ogg_is_whole(io.BytesIO(b""))


@pytest.mark.parametrize("kind", ["vorbis", "opus"])
def test_ogg_of_two_streams_is_read_to_its_end(tmp_path, kind):
    path, samples_SC = odd_audio.make(kind, tmp_path)
    content = path.read_bytes()
    # The second has another number, as in joined files, and the checksums that go with it.
    pages = [page[:10] + b"\7\7\7\7" + page[14:] for page in content.split(b"OggS")[1:]]
    path.write_bytes(content + b"".join(map(_ogg_page, pages)))
    found_SC, rate = read_channels(str(path))
    assert abs(len(found_SC) / rate - 2 * len(samples_SC) / odd_audio.RATE) < 0.1
    assert read_header(str(path)).num_samples == len(found_SC)


def _ogg_page(page: bytes) -> bytes:
    """A page with its checksum, by long division."""
    page = b"OggS" + page[:18] + bytes(4) + page[22:]
    rest = 0
    for byte in page:
        rest ^= byte << 24
        for _ in range(8):
            rest = (rest << 1 ^ (0x04C11DB7 if rest >> 31 else 0)) & 0xFFFFFFFF
    return page[:22] + struct.pack("<I", rest) + page[26:]


def _outcome(read, path: str) -> int | str:
    """How many samples, or what is wrong."""
    try:
        return read(path)
    except AioError as error:
        assert "\n" not in str(error)
        return str(error)


@pytest.mark.parametrize("kind", odd_audio.KINDS)
def test_stage_1_says_of_damaged_files_what_stage_2_would(tmp_path, kind):
    rng = np.random.default_rng(0)
    path, _ = odd_audio.make(kind, tmp_path)
    content = path.read_bytes()
    for number in range(12):
        damaged = bytearray(content)
        # A byte of the header, and every other time an early end.
        damaged[int(rng.integers(0, 60))] = int(rng.integers(0, 256))
        if number % 2:
            del damaged[int(rng.integers(20, len(content))) :]
        path.write_bytes(damaged)
        header = _outcome(lambda path: read_header(path).num_samples, str(path))
        assert header == _outcome(lambda path: len(read_channels(path)[0]), str(path)), number


HARDLY = [b"", b"RIF", b"RIFF", b"RIFF....WAVE", b"NIST_1A\n", b"NIST_1Ajunk", b"\xff\xfe", b"ID3"]
HARDLY += [b"OggS", b"RF64....WAVEds64" + bytes(9)]


@pytest.mark.parametrize("content", HARDLY)
def test_what_is_hardly_a_header_is_left_to_the_decoders(content):
    assert tells_length(io.BytesIO(content)) in (True, False)
    says = _error(read_channels, io.BytesIO(content))
    assert "not audio" in says
