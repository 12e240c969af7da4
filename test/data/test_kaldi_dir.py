"""Folders of Kaldi and ESPnet become data dirs."""

import sys

import numpy as np
import pytest
import soundfile
from tiny import ALL, TASKS_YAML

from aio_toolkit.bin import import_kaldi_dir
from aio_toolkit.data.audio import read_audio
from aio_toolkit.data.datadir import read_data_dir
from aio_toolkit.data.kaldi_dir import read_kaldi_dir
from aio_toolkit.data.validate import validate_data_dir
from aio_toolkit.errors import AioError

RATE = 8000


@pytest.fixture
def kaldi(tmp_path):
    """Two telephone calls with segments, of which one has no text and one says nothing."""
    folder = tmp_path / "kaldi"
    folder.mkdir()
    for number, name in enumerate(("c1", "c2")):
        wave_S = np.arange(2 * RATE, dtype=np.int16) + number
        soundfile.write(tmp_path / f"{name}.wav", wave_S, RATE)
    files = {
        "wav.scp": f"c1 {tmp_path}/c1.wav\nc2 cat {tmp_path}/c2.wav |\n",
        "segments": "ann-1 c1 0.00 0.50\nann-2 c1 0.50 1.25\nbob-1 c2 0 1\nbob-2 c2 1 -1\n",
        "spk2utt": "ann ann-1 ann-2\nbob bob-1 bob-2\n",
        "text": "ann-1 good morning\nann-2\nbob-1 hello\n",
        "reco2dur": "c1 2\nc2 2\n",
    }
    for name, content in files.items():
        (folder / name).write_text(content)
    return folder


@pytest.fixture
def run(monkeypatch):
    def run(*arguments) -> None:
        words = [*map(str, arguments), "--tasks_config", str(TASKS_YAML)]
        monkeypatch.setattr(sys, "argv", ["import_kaldi_dir", *words])
        import_kaldi_dir.main()

    return run


def test_a_folder_of_kaldi_becomes_a_data_dir_that_is_in_order(kaldi, tmp_path, run, capsys):
    run(tmp_path / "train", kaldi, "--task", "asr", "--sample_rate", 2 * RATE)
    said = capsys.readouterr().out
    assert f"wrote {tmp_path}/train: 3 utterances" in said
    assert "notice: 1 are left out, as they are not in text; the first is bob-2" in said
    validate_data_dir(tmp_path / "train", ALL, 2 * RATE)

    found = read_data_dir(tmp_path / "train", ALL)
    assert [(u.id, u.speaker, u.num_samples, u.answers["text"]) for u in found] == [
        ("asr-ann-1", "ann", RATE, "good morning"),
        ("asr-ann-2", "ann", 3 * RATE // 2, ""),
        ("asr-bob-1", "bob", 2 * RATE, "hello"),
    ]
    wave_S = read_audio(found[2].wav, RATE) * 2**15
    np.testing.assert_array_equal(wave_S, np.arange(RATE) + 1)


def test_speakers_are_those_of_utt2spk_or_the_utterances_themselves(kaldi):
    def speakers() -> list[str]:
        found = read_kaldi_dir(kaldi, ALL["asr"], RATE, {})
        return [utterance.speaker for utterance in found.utterances]

    (kaldi / "utt2spk").write_text("ann-1 x\nann-2 y\nbob-1 z\n")
    assert speakers() == ["x", "y", "z"]
    (kaldi / "utt2spk").unlink()
    (kaldi / "spk2utt").unlink()
    assert speakers() == ["ann-1", "ann-2", "bob-1"]


def test_answers_may_stand_in_files_of_other_names(kaldi, tmp_path, run, capsys):
    """As in ESPnet's recipes of enhancement."""
    (kaldi / "segments").unlink()
    (kaldi / "spk1.scp").write_text(f"c1 {tmp_path}/c2.wav\n")
    (kaldi / "noise1.scp").write_text(f"c1 {tmp_path}/c2.wav\n")
    run(tmp_path / "enh", kaldi, "--task", "enh", "--files", "speech=spk1.scp")
    (found,) = read_data_dir(tmp_path / "enh", ALL)
    assert found.answers == {"speech": f"{tmp_path}/c2.wav"} and found.id == "enh-c1"
    assert "1 are left out, as they are not in spk1.scp; the first is c2" in capsys.readouterr().out


def test_ids_that_begin_with_the_task_are_kept(kaldi):
    (kaldi / "segments").write_text("asr-7 c1 0 1\n")
    (kaldi / "text").write_text("asr-7 yes\n")
    (found,) = read_kaldi_dir(kaldi, ALL["asr"], RATE, {}).utterances
    assert found.id == "asr-7"


@pytest.mark.parametrize(
    ("task", "words", "message"),
    [
        ("asrr", [], "unknown task 'asrr'"),
        ("enh", [], "there is no speech.scp, which has the task's 'speech'. Name the file"),
        ("asr", ["--files", "speech=a"], "speech=a: write ANSWER=FILE; answers are text"),
        ("asr", ["--files", "text"], "--files text: write ANSWER=FILE"),
    ],
)
def test_what_cannot_be_imported_is_told_in_a_line(kaldi, tmp_path, run, task, words, message):
    with pytest.raises(SystemExit) as ended:
        run(tmp_path / "out", kaldi, "--task", task, *words)
    assert message in str(ended.value.code)
    assert not (tmp_path / "out").exists()


def test_a_folder_with_nothing_in_it_is_told(kaldi):
    (kaldi / "text").write_text("zoe-1 hello\n")
    with pytest.raises(AioError, match=r"no id of wav.scp is in every file that task asr needs"):
        read_kaldi_dir(kaldi, ALL["asr"], RATE, {})
    (kaldi / "wav.scp").unlink()
    with pytest.raises(AioError, match=r"there is no wav.scp. Name the folder that holds it"):
        read_kaldi_dir(kaldi, ALL["asr"], RATE, {})


def test_recordings_that_are_not_there_are_told_with_their_ids(kaldi, tmp_path):
    (tmp_path / "c1.wav").unlink()
    with pytest.raises(AioError, match=r"2 problems:\n  ann-1: audio file .*\n  ann-2: audio"):
        read_kaldi_dir(kaldi, ALL["asr"], RATE, {})
