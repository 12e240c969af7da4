"""Files and folders answered one by one."""

import numpy as np
import pytest
import soundfile

from aio_toolkit.data.wav_writer import write_wav
from aio_toolkit.errors import AioError
from aio_toolkit.files import read_json
from aio_toolkit.hub.files import FileAnswers, find_files
from aio_toolkit.hub.formats import Format


def answer_files(model, task, named, out, format=None):
    options = {"format": format} if format else {}
    FileAnswers(model, task, out, options).answer(named)


@pytest.fixture
def talks(tmp_path):
    """A folder of recordings, and what does not belong there."""
    wave_S = np.random.default_rng(0).standard_normal(3000) / 8
    for name in ("a.wav", "sub/a.wav", "b.WAV", "._a.wav"):
        write_wav(tmp_path / "talks" / name, wave_S, 16000)
    (tmp_path / "talks" / "notes.txt").write_text("none")
    return tmp_path / "talks"


def test_a_folder_stands_for_its_audio_files_by_their_place_in_it(talks):
    assert find_files([talks]) == {name: talks / name for name in ("a.wav", "b.WAV", "sub/a.wav")}


def test_files_of_one_name_and_other_endings_are_apart(tmp_path):
    named = [tmp_path / "a.wav", tmp_path / "a.flac"]
    assert list(find_files(named)) == ["a.wav", "a.flac"]


def test_two_answers_of_one_name_are_refused(talks):
    with pytest.raises(AioError, match=r"sub/a.wav would have one answer, a.wav"):
        find_files([talks / "a.wav", talks / "sub" / "a.wav"])


def test_a_folder_without_audio_is_told(tmp_path):
    with pytest.raises(AioError, match="holds no audio files"):
        find_files([tmp_path])


def test_each_recording_has_a_folder_of_its_own(model, talks, tmp_path):
    out = tmp_path / "out"
    answer_files(model, "sep", [talks], out)
    made = sorted(str(path.relative_to(out)) for path in out.rglob("*.wav") if path.is_file())
    wanted = [
        f"sep/{name}/{target}.wav"
        for name in ("a.wav", "b.WAV", "sub/a.wav")
        for target in ("rest", "spk1", "spk2")
    ]
    assert made == sorted(wanted)


def test_a_recording_that_cannot_be_read_is_named_and_the_others_are_answered(
    model, talks, tmp_path
):
    (talks / "0.wav").write_text("no audio")
    message = r"1 of 4 recordings could not be answered: .*0.wav is not audio"
    with pytest.raises(AioError, match=message):
        answer_files(model, "enh", [talks], tmp_path / "out")
    assert (tmp_path / "out" / "enh" / "sub" / "a.wav" / "speech.wav").is_file()
    assert not (tmp_path / "out" / "enh" / "0.wav").exists()


def test_what_is_there_of_a_cut_recording_is_answered_on_request(model, talks, tmp_path, capsys):
    whole = (talks / "a.wav").read_bytes()
    (talks / "a.wav").write_bytes(whole[:2044])
    out = tmp_path / "out"
    with pytest.raises(AioError, match=r"1 of 3 .*a.wav is cut off .* 1000 of 3000 .*--partial"):
        answer_files(model, "enh", [talks], out)
    others = {path: path.stat().st_mtime_ns for path in out.rglob("answer.json")}
    assert len(others) == 2
    FileAnswers(model, "enh", out, {"partial": True}).answer([talks])
    assert "a.wav is cut off or damaged: 1000 of 3000" in capsys.readouterr().err
    assert soundfile.info(out / "enh" / "a.wav" / "speech.wav").frames == 1000
    # Those that were answered without asking for it are whole.
    assert {path: path.stat().st_mtime_ns for path in others} == others
    # Without asking, it is a mistake as before.
    with pytest.raises(AioError, match="1 of 3 recordings could not be answered"):
        answer_files(model, "enh", [talks], out)


def test_words_are_printed_where_there_is_no_folder_for_them(model, talks, capsys):
    answer_files(model, "asr", [talks / "a.wav"], None)
    name, text = capsys.readouterr().out.rstrip("\n").split("\t")
    assert name == "a.wav"
    assert text == model.transcribe(talks / "a.wav").text


def test_waves_need_a_folder(model, talks):
    with pytest.raises(AioError, match="answers to task 'enh' are waves.*--out"):
        answer_files(model, "enh", [talks], None)


def test_answers_that_are_there_are_kept_until_recording_or_model_change(
    model, talks, tmp_path, monkeypatch
):
    answered = []
    answerer = model.answerer("enh")
    original = answerer.cut

    def cut(recording, options):
        answered.append(recording.name)
        return original(recording, options)

    monkeypatch.setattr(answerer, "cut", cut)
    for _ in range(2):
        answer_files(model, "enh", [talks / "a.wav", talks / "b.WAV"], tmp_path / "out")
    assert answered == ["a.wav", "b.WAV"]
    write_wav(talks / "a.wav", np.ones(100), 16000)
    answer_files(model, "enh", [talks / "a.wav", talks / "b.WAV"], tmp_path / "out")
    assert answered[2:] == ["a.wav"]
    monkeypatch.setitem(vars(model), "sha256", "of another model")
    answer_files(model, "enh", [talks / "a.wav"], tmp_path / "out")
    assert answered[3:] == ["a.wav"]


def test_an_answer_that_was_not_written_to_its_end_is_written_again(
    model, talks, tmp_path, monkeypatch
):
    speech = tmp_path / "out" / "enh" / "a.wav" / "speech.wav"
    answer_files(model, "enh", [talks / "a.wav"], tmp_path / "out")
    whole = speech.read_bytes()
    write_wav(talks / "a.wav", np.ones(100), 16000)

    def write(pieces, folder, options):
        raise KeyboardInterrupt

    monkeypatch.setattr(model.answerer("enh"), "write", write)
    with pytest.raises(KeyboardInterrupt):
        answer_files(model, "enh", [talks / "a.wav"], tmp_path / "out")
    monkeypatch.undo()
    answer_files(model, "enh", [talks / "a.wav"], tmp_path / "out")
    assert speech.read_bytes() != whole


def test_words_are_written_in_the_format_that_is_asked_for(model, talks, tmp_path):
    out = tmp_path / "out"
    for format in (Format.txt, Format.json):
        answer_files(model, "asr", [talks / "a.wav"], out, format)
    heard = model.transcribe(talks / "a.wav").text
    assert (out / "asr" / "a.wav" / "asr.txt").read_text(encoding="utf-8") == heard + "\n"
    assert read_json(out / "asr" / "a.wav" / "asr.json")["text"] == heard
