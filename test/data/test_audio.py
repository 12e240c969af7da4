"""Reading what recipes meet: files, pipes, archives, and everything that can be wrong with them."""

import subprocess
import sys

import kaldiio
import numpy as np
import pytest
import soundfile

from aio_toolkit.data.audio import read_audio, read_header, read_span
from aio_toolkit.data.resampling import notice_resampling
from aio_toolkit.data.wav_writer import Subtype, write_wav
from aio_toolkit.errors import AioError

RATE = 8000


def _noise(size: int = 800, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.9, 0.9, size).astype(np.float32)


@pytest.fixture
def wav(tmp_path):
    path = tmp_path / "a.wav"
    write_wav(path, _noise(), RATE)
    return path


def _raises(spec, *parts: str, rate: int = RATE) -> None:
    with pytest.raises(AioError) as caught:
        read_audio(str(spec), rate, where="wav.scp: utt-1")
    message = str(caught.value)
    assert message.startswith("wav.scp: utt-1: ") and "\n" not in message
    for part in parts:
        assert part in message


def test_pcm_survives_writing_and_reading_bit_identically(tmp_path):
    integers = np.arange(-(2**15), 2**15, 7, dtype=np.int16)
    write_wav(tmp_path / "a.wav", integers / 2**15, RATE)
    assert np.array_equal(read_audio(str(tmp_path / "a.wav"), RATE) * 2**15, integers)


def test_float_wavs_keep_what_pcm_would_clip(tmp_path, capsys):
    wave = 3 * _noise()
    write_wav(tmp_path / "a.wav", wave, RATE, Subtype.float_32)
    assert np.array_equal(read_audio(str(tmp_path / "a.wav"), RATE), wave)
    assert capsys.readouterr().err == ""


def test_clipping_is_counted_in_a_warning(tmp_path, capsys):
    write_wav(tmp_path / "a.wav", np.array([0.0, 1.5, -2.0, 1.0]), RATE)
    assert "2 of 4 samples" in capsys.readouterr().err
    largest = 1 - 2**-15
    assert read_audio(str(tmp_path / "a.wav"), RATE).tolist() == [0.0, largest, -1.0, largest]


def test_a_diverged_wave_is_not_written(tmp_path):
    with pytest.raises(AioError, match="first at sample 1"):
        write_wav(tmp_path / "a.wav", np.array([0.0, np.nan]), RATE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["cat {}|", "cat {} | cat | ", "  cat '{}' |"])
def test_a_pipe_reads_what_the_file_holds(wav, command):
    assert np.array_equal(read_audio(command.format(wav), RATE), read_audio(str(wav), RATE))


def test_a_pipe_whose_header_does_not_know_the_length_is_read_to_its_end(wav):
    # sox and ffmpeg write such headers into a pipe: the sizes are not known yet.
    command = f"""python3 -c "
import sys; d = bytearray(open('{wav}', 'rb').read()); d[4:8] = d[40:44] = bytes([255] * 4)
sys.stdout.buffer.write(d)" |"""
    assert np.array_equal(read_audio(command, RATE), read_audio(str(wav), RATE))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"write_function": "soundfile", "write_kwargs": {"format": "flac"}},
    ],
)
def test_an_ark_offset_reads_what_was_put_there(tmp_path, options):
    integers = {"a": np.rint(_noise() * 2**15), "b": np.rint(_noise(400, seed=1) * 2**15)}
    ark, scp = str(tmp_path / "x.ark"), tmp_path / "x.scp"
    waves = {key: (RATE, wave.astype(np.int16)) for key, wave in integers.items()}
    kaldiio.save_ark(ark, waves, scp=str(scp), **options)
    for line in scp.read_text().splitlines():
        key, spec = line.split()
        wave = read_audio(spec, RATE)
        assert wave.dtype == np.float32
        assert np.array_equal(wave * 2**15, integers[key])


def test_a_path_that_looks_like_an_offset_is_read_as_a_file(tmp_path, wav):
    odd = tmp_path / "take:12"
    odd.write_bytes(wav.read_bytes())
    assert np.array_equal(read_audio(str(odd), RATE), read_audio(str(wav), RATE))


def test_stereo_is_averaged(tmp_path):
    left, right = _noise(), _noise(seed=1)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], 1), RATE, subtype="FLOAT")
    np.testing.assert_allclose(
        read_audio(str(tmp_path / "a.wav"), RATE), (left + right) / 2, atol=1e-7
    )


def test_another_rate_is_resampled_and_said_once(tmp_path, capsys):
    notice_resampling.cache_clear()
    time = np.arange(4410) / 44100
    write_wav(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 440 * time), 44100)
    for _ in range(2):
        wave = read_audio(str(tmp_path / "a.wav"), 16000)
    assert capsys.readouterr().err.count("44100 Hz is resampled to 16000 Hz") == 1
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(1600) / 16000)
    assert len(wave) == 1600
    np.testing.assert_allclose(wave[100:-100], expected[100:-100], atol=2e-3)


@pytest.fixture
def pipe_and_ark(tmp_path, wav) -> list[str]:
    """The wave as a pipe and in an archive."""
    kaldiio.save_ark(str(tmp_path / "a.ark"), {"a": (RATE, read_int16(wav))}, scp=None)
    return [f"cat {wav} |", f"{tmp_path}/a.ark:2"]


def read_int16(path) -> np.ndarray:
    return soundfile.read(path, dtype="int16")[0]


@pytest.mark.parametrize("span", [(0, 800), (0, 1), (37, 500), (799, 1)])
def test_a_stretch_is_that_of_the_whole(wav, pipe_and_ark, span):
    start, size = span
    for spec in (str(wav), *pipe_and_ark):
        whole_S = read_audio(spec, RATE)
        found_S = read_span(spec, RATE, start, size)
        assert np.array_equal(found_S, whole_S[start : start + size])


def test_a_stretch_at_another_rate_is_that_of_the_whole_resampled(wav):
    notice_resampling(RATE, 16000)
    found_S = read_span(str(wav), 16000, 200, 300)
    assert np.array_equal(found_S, read_audio(str(wav), 16000)[200:500])


def test_a_stretch_of_several_channels_is_their_mean(tmp_path):
    left, right = _noise(), _noise(seed=1)
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([left, right], 1), RATE, subtype="FLOAT")
    found_S = read_span(str(path), RATE, 5, 100)
    np.testing.assert_allclose(found_S, ((left + right) / 2)[5:105], atol=1e-7)


@pytest.mark.parametrize("start", [400, 900])
def test_a_file_that_is_shorter_than_foretold_is_named(wav, start):
    with pytest.raises(AioError, match=r"asr-1: .*a\.wav ends \d+ samples before.*stage 1"):
        read_span(str(wav), RATE, start, 500, where="asr-1")


def test_nan_in_a_stretch_is_refused(tmp_path):
    wave_S = _noise()
    wave_S[300] = np.nan
    path = str(tmp_path / "nan.wav")
    soundfile.write(path, wave_S, RATE, subtype="FLOAT")
    with pytest.raises(AioError, match="asr-1: .*NaN or Inf"):
        read_span(path, RATE, 290, 20, where="asr-1")
    assert len(read_span(path, RATE, 0, 300)) == 300


def test_a_header_says_what_reading_would_find(tmp_path, wav):
    header = read_header(str(wav))
    assert (header.num_samples, header.sample_rate, header.may_hold_nan) == (800, RATE, False)
    soundfile.write(tmp_path / "f.wav", _noise(), RATE, subtype="FLOAT")
    assert read_header(str(tmp_path / "f.wav")).may_hold_nan
    assert read_header(f"cat {wav} |") is None


def test_a_missing_file_is_named(tmp_path):
    _raises(tmp_path / "none.wav", "none.wav does not exist")
    _raises(f"{tmp_path}/none.ark:12", "none.ark does not exist")
    _raises(tmp_path, "is not a file")


def test_an_empty_file_is_named(tmp_path):
    (tmp_path / "a.wav").touch()
    _raises(tmp_path / "a.wav", "a.wav is empty (0 bytes)")


def test_a_file_without_samples_is_named(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(0), RATE)
    _raises(tmp_path / "a.wav", "a.wav holds no samples")
    with pytest.raises(AioError, match="holds no samples"):
        read_header(str(tmp_path / "a.wav"))


def test_a_file_that_is_not_audio_is_named(tmp_path):
    (tmp_path / "a.wav").write_text("hello, I am a text\n" * 9)
    _raises(tmp_path / "a.wav", "a.wav is not audio", "Convert it")
    with pytest.raises(AioError, match="is not audio"):
        read_header(str(tmp_path / "a.wav"))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_inf_are_found_where_they_are(tmp_path, bad):
    wave = _noise()
    wave[123] = bad
    soundfile.write(tmp_path / "a.wav", wave, RATE, subtype="FLOAT")
    _raises(tmp_path / "a.wav", "holds NaN or Inf, first at sample 123")


def test_a_failing_command_is_named_with_its_own_words(tmp_path):
    _raises(f"cat {tmp_path}/none.wav |", "failed with status 1", "No such file", "Run it by hand")


def test_a_failure_early_in_a_pipe_is_not_taken_for_a_short_recording(wav):
    _raises(f"(cat {wav}; exit 3) | cat |", "failed with status 3")


def test_a_command_that_writes_nothing_or_no_audio_is_named(wav):
    _raises("true |", "wrote no audio")
    _raises("echo hello hello |", "is not audio")


def test_features_in_place_of_audio_are_refused(tmp_path):
    features = {"a": np.ones((3, 2), np.float32)}
    kaldiio.save_ark(str(tmp_path / "x.ark"), features, scp=str(tmp_path / "x.scp"))
    spec = (tmp_path / "x.scp").read_text().split()[1]
    _raises(spec, "holds a matrix without a sample rate")


def test_a_wrong_offset_is_named(tmp_path):
    kaldiio.save_ark(str(tmp_path / "x.ark"), {"a": np.ones((3, 2), np.float32)})
    _raises(f"{tmp_path}/x.ark:9", "no audio can be read at")


def test_importing_the_module_loads_no_heavy_library():
    code = (
        "import sys, aio_toolkit.data.validate; "
        "print([m for m in ('torch', 'scipy') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_wave_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    import soundfile

    def full(*args, **kwargs):
        raise soundfile.LibsndfileError(2)

    monkeypatch.setattr(soundfile.SoundFile, "write", full)
    with pytest.raises(AioError, match="out.wav.*disk full"):
        write_wav(tmp_path / "out.wav", np.zeros(10), 16000)
    assert list(tmp_path.iterdir()) == []
