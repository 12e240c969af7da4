"""The command `answer` and whatever is given to it: one line says what is wrong."""

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny import RATE

from aio_toolkit.bin import answer as command

RNG = np.random.default_rng(0)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder of a good recording."""
    write(tmp_path / "in" / "good.wav", 3000)
    return tmp_path / "in"


def write(path: Path, num_samples: int, channels: int = 1, rate: int = RATE) -> None:
    path.parent.mkdir(exist_ok=True)
    soundfile.write(path, RNG.uniform(-0.5, 0.5, (num_samples, channels)), rate, subtype="PCM_24")


@pytest.fixture
def answer(monkeypatch, model_folder, tmp_path, capsys):
    """Runs the command into `out`; returns what it ends with, an error or None, and the lines that
    it leaves on stderr."""

    def run(*arguments: object, task: str = "enh", out: Path | None = None):
        options = ("--model", model_folder, "--task", task, "--out", out or tmp_path / "out")
        words = [*map(str, (*options, "--device", "cpu", *arguments))]
        monkeypatch.setattr(sys, "argv", ["answer", *words])
        ended = None
        try:
            command.main()
        except SystemExit as error:
            ended = error.code
        lines = capsys.readouterr().err.replace("\r", "\n").splitlines()
        return ended, [line for line in lines if line and not line.startswith("answer:")]

    return run


def answered(out: Path) -> list[str]:
    """All that is in the folder, by name."""
    return sorted(str(path.relative_to(out)) for path in out.rglob("*"))


def files(task: str, name: str, *targets: str) -> list[str]:
    waves = [f"{task}/{name}/{target}.wav" for target in (*targets, "rest")]
    return sorted([task, f"{task}/{name}", f"{task}/{name}/answer.json", *waves])


def _text(path: Path) -> None:
    path.write_text("no audio at all\n" * 50)


def _nan(path: Path) -> None:
    wave_S = RNG.uniform(-0.5, 0.5, 3000)
    wave_S[777] = np.nan
    soundfile.write(path, wave_S, RATE, subtype="FLOAT")


def _header(path: Path) -> None:
    soundfile.write(path, np.zeros(0), RATE)


def _cut(path: Path) -> None:
    write(path, 3000)
    path.write_bytes(path.read_bytes()[:-3000])


BAD = {
    "not audio that can be read": _text,
    "is empty (0 bytes)": Path.touch,
    "holds NaN or Inf, first at sample 777": _nan,
    "holds no samples": _header,
    "is cut off or damaged: 2000 of 3000 samples": _cut,
}


@pytest.mark.parametrize("task", ["enh", "asr"])
@pytest.mark.parametrize("says", BAD)
def test_a_bad_file_is_named_in_one_line_and_leaves_nothing(answer, folder, tmp_path, task, says):
    BAD[says](folder / "bad.wav")
    ended, lines = answer(folder, task=task)
    assert ended.startswith("error: 1 of 2 recordings could not be answered: ")
    assert says in ended and f"{folder}/bad.wav" in ended
    assert "\n" not in ended and lines == []
    assert [path.name for path in (tmp_path / "out" / task).iterdir()] == ["good.wav"]


def test_a_video_without_sound_is_named(answer, silent_video):
    ended, _ = answer(silent_video)
    assert f"{silent_video} has no sound" in ended


def test_many_problems_are_told_one_after_the_other(answer, folder):
    _text(folder / "a.wav")
    (folder / "b.wav").touch()
    ended, _ = answer(folder)
    assert "Convert it to WAV or FLAC; audio file" in ended and not ended.endswith(".")


@pytest.mark.parametrize("name", ["empty", "nowhere", "nowhere.wav"])
def test_what_is_no_recording_and_holds_none_is_named(answer, folder, tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").touch()
    ended, lines = answer(tmp_path / name)
    assert ended.startswith("error: ") and str(tmp_path / name) in ended and lines == []


def test_eight_channels_at_96_khz_are_answered_as_they_came(answer, folder, tmp_path):
    write(folder / "good.wav", 30011, channels=8, rate=96000)
    ended, lines = answer(folder)
    assert ended is None
    assert [line.split(":")[0] for line in lines] in (["notice"], [])
    wave_CS, _ = soundfile.read(folder / "good.wav", dtype="float32", always_2d=True)
    parts = [tmp_path / "out" / "enh" / "good.wav" / f"{name}.wav" for name in ("speech", "rest")]
    assert {soundfile.info(path).samplerate for path in parts} == {96000}
    total_CS = sum(soundfile.read(path, dtype="float32", always_2d=True)[0] for path in parts)
    np.testing.assert_allclose(total_CS, wave_CS, atol=1e-5)


@pytest.mark.parametrize("task", ["enh", "asr"])
@pytest.mark.parametrize("place", ["file", "file/under"])
def test_a_folder_that_cannot_be_made_is_told_before_anything_is_heard(
    answer, folder, tmp_path, task, place, monkeypatch
):
    (tmp_path / "file").touch()
    monkeypatch.setattr(
        "aio_toolkit.hub.answerers.base.to_recording", lambda *_, **__: pytest.fail("heard")
    )
    ended, lines = answer(folder, task=task, out=tmp_path / place)
    assert ended.startswith(f"error: cannot write into {tmp_path / place}: ") and lines == []
    assert "--out" in ended


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_told(answer, folder, tmp_path):
    (tmp_path / "out").mkdir(mode=0o500)
    ended, _ = answer(folder)
    assert ended.startswith(f"error: cannot write into {tmp_path}/out: Permission denied")


@contextmanager
def files_of_at_most(num_bytes: int) -> Iterator[None]:
    """What writes beyond that finds no room, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_where_the_disk_is_full_it_ends_with_what_is_finished_and_goes_on_later(
    answer, folder, tmp_path
):
    for name in ("z1.wav", "z2.wav"):
        write(folder / name, 60000)
    with files_of_at_most(100_000):
        ended, lines = answer(folder)
    where = tmp_path / "out" / "enh" / "z1.wav"
    assert ended.startswith(f"error: cannot write into {where}: the disk may be full. Free")
    assert lines == []
    assert answered(tmp_path / "out") == files("enh", "good.wav", "speech")
    stamp = tmp_path / "out" / "enh" / "good.wav" / "answer.json"
    finished = stamp.stat().st_mtime_ns
    assert answer(folder)[0] is None
    assert sorted(path.name for path in stamp.parents[1].iterdir()) == [
        *("good.wav", "z1.wav", "z2.wav"),
    ]
    assert stamp.stat().st_mtime_ns == finished


def test_a_full_disk_is_told_of_words_too(answer, folder, tmp_path):
    with files_of_at_most(1):
        ended, _ = answer(folder, "--format", "json", task="asr")
    where = tmp_path / "out" / "asr" / "good.wav"
    assert ended.startswith(f"error: cannot write into {where}: File too large. Free")
    assert answered(tmp_path / "out") == ["asr"]


def test_an_interrupt_leaves_nothing_half_written_and_the_rest_is_answered_later(
    answer, folder, tmp_path, monkeypatch
):
    from aio_toolkit.hub.answerers.audio import AudioAnswerer

    write(folder / "z.wav", 9 * RATE)
    original, heard = AudioAnswerer.hear, []

    def hear(self, windows, options):
        heard.append(len(windows))
        # The good one has been written; of the other a part has.
        if len(heard) == 3:
            raise KeyboardInterrupt
        return original(self, windows, options)

    monkeypatch.setattr(AudioAnswerer, "hear", hear)
    ended, lines = answer(folder, "--batch", 1, "--window", 2)
    assert ended == 130
    assert lines == ["interrupted: run the same command again to go on"]
    assert answered(tmp_path / "out") == files("enh", "good.wav", "speech")
    monkeypatch.setattr(AudioAnswerer, "hear", original)
    assert answer(folder, "--batch", 1, "--window", 2)[0] is None
    assert soundfile.info(tmp_path / "out" / "enh" / "z.wav" / "speech.wav").frames == 9 * RATE
