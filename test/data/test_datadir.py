"""Data dirs: what is written comes back, and what is wrong is told."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from aio_toolkit.bin import validate_data_dir as validate_command
from aio_toolkit.data.datadir import Utterance, read_data_dir, write_data_dir
from aio_toolkit.data.layout import Layout
from aio_toolkit.data.validate import validate_data_dir
from aio_toolkit.data.wav_writer import write_wav
from aio_toolkit.errors import AioError
from aio_toolkit.tasks import load_tasks

TASKS_CONFIG = Path(__file__).parents[2] / "egs" / "TEMPLATE" / "conf" / "tasks.yaml"
TASKS = load_tasks(TASKS_CONFIG)
RATE = 8000


@pytest.fixture
def utterances(tmp_path):
    """One utterance per task, with audio."""

    def wav(name: str, size: int = 400) -> str:
        write_wav(tmp_path / "wavs" / f"{name}.wav", np.full(size, 0.1), RATE)
        return str(tmp_path / "wavs" / f"{name}.wav")

    def audio(id: str, *targets: str) -> Utterance:
        waves = {target: wav(f"{id}_{target}") for target in targets}
        return Utterance(id, TASKS[id.split("-")[0]], "someone", wav(id), 400, waves)

    both = {"text": "GOOD MORNING", "text.fr": "bonjour à tous"}
    return [
        Utterance("asr-1", TASKS["asr"], "ann", wav("asr-1"), 400, {"text": "GOOD MORNING"}),
        Utterance("st-1", TASKS["st"], "bob", wav("st-1"), 400, both),
        audio("sep-1", "spk1", "spk2"),
        audio("enh-1", "speech"),
        audio("sound-1", "sound1", "sound2"),
        audio("sound-2", "sound1", "sound2", "sound3"),
        audio("music-1", "vocals", "drums", "bass", "other"),
    ]


@pytest.fixture
def data(tmp_path, utterances):
    write_data_dir(tmp_path / "data", utterances, TASKS)
    return tmp_path / "data"


def _problem(data, *parts: str, audio: bool = False) -> str:
    with pytest.raises(AioError) as caught:
        validate_data_dir(data, TASKS, RATE) if audio else read_data_dir(data, TASKS)
    message = str(caught.value)
    for part in (str(data), *parts):
        assert part in message
    return message


def _edit(path, old: str, new: str) -> None:
    content = path.read_text(encoding="utf-8")
    assert old in content
    path.write_bytes(content.replace(old, new).encode())


def test_reads_back_what_it_wrote(data, utterances):
    assert read_data_dir(data, TASKS) == sorted(utterances, key=lambda u: u.id)
    validate_data_dir(data, TASKS, RATE)


words = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=8)
sentences = st.lists(words, min_size=1, max_size=4).map(" ".join)


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(words, sentences, min_size=1, max_size=5))
def test_any_printable_ids_and_texts_come_back(tmp_path_factory, texts):
    directory = tmp_path_factory.mktemp("data")
    utterances = [
        Utterance(f"asr-{id}", TASKS["asr"], "s", "a b.wav", 1, {"text": text})
        for id, text in texts.items()
    ]
    write_data_dir(directory, utterances, TASKS)
    read = read_data_dir(directory, TASKS)
    assert {u.id: u for u in read} == {u.id: u for u in utterances}
    keys = [line.split(b" ")[0] for line in (directory / "text").read_bytes().splitlines()]
    assert keys == sorted(keys)  # bytes: C order


def test_files_of_an_earlier_version_go(data, utterances):
    (data / "notes.txt").write_text("mine")
    write_data_dir(data, utterances[:1], TASKS)
    names = {path.name for path in data.iterdir()}
    assert names == {"wav.scp", "utt2task", "utt2spk", "utt2num_samples", "text", "notes.txt"}


def test_a_folder_without_wav_scp_is_unfinished(data):
    (data / "wav.scp").unlink()
    _problem(data, "no wav.scp", "Run stage 1")


def test_writing_refuses_what_reading_would_refuse(tmp_path, utterances):
    asr = utterances[0]
    for bad, part in [
        ([asr, asr], "asr-1 appears twice"),
        ([], "there are no utterances"),
        ([replace(asr, id="asr 1")], "holds white space"),
        ([replace(asr, answers={"text": " "})], "text: asr-1 has the value ' '"),
        ([replace(asr, answers={"text": "two\nlines"})], "expected one line"),
        ([replace(asr, num_samples=0)], "asr-1 has 0 samples"),
        ([replace(asr, answers={"text": "A", "text.de": "B"})], "'text.de', which no task reads"),
        ([replace(asr, answers={"text": "A", "speech": "a.wav"})], "asr, which has no such target"),
        ([replace(asr, task=replace(TASKS["asr"], name="tags"))], "has unknown task 'tags'"),
    ]:
        with pytest.raises(AioError, match=part):
            write_data_dir(tmp_path / "bad", bad, TASKS)
    assert not (tmp_path / "bad").exists()


@pytest.mark.parametrize("name", ["utt2task", "utt2spk", "utt2num_samples"])
def test_a_missing_file_is_named(data, name):
    (data / name).unlink()
    _problem(data, f"{name} is missing")


def test_a_double_id_is_told_with_its_line(data):
    _edit(data / "utt2spk", "asr-1 ann\n", "asr-1 ann\nasr-1 ann\n")
    _problem(data, "utt2spk line 2: asr-1 appears twice")


def test_unsorted_lines_are_told_with_the_remedy(data):
    lines = (data / "wav.scp").read_text().splitlines(keepends=True)
    (data / "wav.scp").write_text("".join([lines[1], lines[0], *lines[:1:-1]]))
    expected = "wav.scp line 2: asr-1 follows enh-1: not sorted"
    message = _problem(data, expected, "LC_ALL=C sort")
    assert message.count("not sorted") == 1


def test_text_in_latin1_is_told_with_line_and_byte(data):
    (data / "text.fr").write_bytes("st-1 à tous\n".encode("latin1"))
    _problem(data, "text.fr line 1: byte 0xe0 is not UTF-8", "iconv -f latin1 -t utf-8")


def test_a_byte_order_mark_is_told(data):
    (data / "text.fr").write_bytes("st-1 bonjour\n".encode("utf-8-sig"))
    _problem(data, "text.fr line 1: starts with a byte order mark")


def test_windows_line_ends_are_told(data):
    _edit(data / "text", "\n", "\r\n")
    _problem(data, "text line 1: ends in CR LF", "sed -i")


@pytest.mark.parametrize("line", ["asr-1", "asr-1 ", "asr-1 \t "])
def test_an_empty_text_is_that_of_silence_and_counted(data, line, capsys):
    _edit(data / "text", "asr-1 GOOD MORNING", line)
    validate_data_dir(data, TASKS, RATE)
    told = capsys.readouterr().out
    assert f"notice: {data}: 1 of 7 utterances have an empty text, the first is asr-1" in told
    utterances = read_data_dir(data, TASKS)
    assert [u.answers["text"] for u in utterances if "text" in u.answers] == ["", "GOOD MORNING"]
    write_data_dir(data, utterances, TASKS)
    assert read_data_dir(data, TASKS) == utterances


def test_a_wave_without_name_is_told(data):
    _edit(data / "speech.scp", (data / "speech.scp").read_text(), "enh-1\n")
    _problem(data, "speech.scp line 1: enh-1 has no value, expected 'id value'")


def test_a_line_without_value_is_told(data):
    _edit(data / "utt2spk", "asr-1 ann", "asr-1")
    _problem(data, "utt2spk line 1: asr-1 has no value, expected 'id value'")


def test_an_empty_line_is_told(data):
    _edit(data / "utt2spk", "asr-1 ann\n", "asr-1 ann\n\n")
    _problem(data, "utt2spk line 2: is empty")


def test_an_id_without_wave_is_told(data):
    _edit(data / "utt2task", "enh-1 enh\n", "enh-1 enh\nenh-2 enh\n")
    _problem(data, "enh-2 is in utt2task but not in wav.scp")


def test_a_wave_without_task_is_told(data):
    _edit(data / "utt2task", "enh-1 enh\n", "")
    _problem(data, "enh-1 is in wav.scp but not in utt2task")


@pytest.mark.parametrize(
    ("file", "id"),
    [("spk2.scp", "sep-1"), ("sound2.scp", "sound-1"), ("text.fr", "st-1")],
)
def test_a_missing_target_is_told(data, file, id):
    lines = (data / file).read_text().splitlines(keepends=True)
    (data / file).write_text("".join(line for line in lines if not line.startswith(id)))
    _problem(data, f"{id} of task", f"is not in {file}")


def test_a_wave_of_another_task_is_told(data):
    (data / "speech.scp").write_text("asr-1 x.wav\n" + (data / "speech.scp").read_text())
    _problem(data, "speech.scp: asr-1 is of task asr, which has no such target")


def test_an_unknown_task_is_told_with_the_known_ones(data):
    _edit(data / "utt2task", "asr-1 asr", "asr-1 asrr")
    _problem(data, "asr-1 has unknown task 'asrr'", "asr, st, sep, enh, sound, music")


@pytest.mark.parametrize("value", ["0", "-3", "4.5", "many"])
def test_a_length_that_is_no_length_is_told(data, value):
    _edit(data / "utt2num_samples", "asr-1 400", f"asr-1 {value}")
    _problem(data, "utt2num_samples: asr-1")


def test_many_problems_come_in_one_message_with_their_count(data):
    files = Layout.of(TASKS).all_files
    for name in files:
        _edit(data / name, "\n", "\r\n")
    message = _problem(data, f"{len(files)} problems")
    assert len(message.splitlines()) == 1 + len(files)


def test_of_many_problems_the_first_of_each_kind_are_told(data, utterances):
    many = [replace(utterances[0], id=f"asr-{number:02}") for number in range(13)]
    write_data_dir(data, many, TASKS)
    (data / "text").write_text("asr-05 yes\n")
    _edit(data / "utt2spk", "asr-12 ann\n", "")
    _edit(data / "utt2spk", "asr-03 ann", "asr-03")
    _problem(data, "utt2spk line 4: asr-03 has no value")
    _edit(data / "utt2spk", "asr-03", "asr-03 ann")
    _problem(data, "asr-12 is in wav.scp but not in utt2spk. Add the line")
    (data / "utt2spk").write_text((data / "utt2spk").read_text() + "asr-12 ann\n")
    _edit(data / "utt2num_samples", "asr-12 400", "asr-12 none")
    lines = _problem(data, "13 problems").splitlines()
    assert "asr-12 has 'none', expected a whole number" in lines[1]
    missing = [
        "asr-00",
        "asr-01",
        "asr-02",
        "asr-03",
        "asr-04",
        *(f"asr-{n:02}" for n in range(6, 11)),
    ]
    assert [line.split()[0] for line in lines[2:12]] == missing
    assert lines[12].strip() == "... and 2 more of this kind" and len(lines) == 13


def test_audio_problems_name_file_and_utterance(data, tmp_path):
    wavs = tmp_path / "wavs"
    (wavs / "asr-1.wav").unlink()
    (wavs / "enh-1_speech.wav").write_bytes(b"")
    (wavs / "st-1.wav").write_text("not audio" * 9)
    wave = np.full(400, 0.1, np.float32)
    wave[7] = np.nan
    soundfile.write(wavs / "sep-1_spk2.wav", wave, RATE, subtype="FLOAT")
    message = _problem(data, "4 problems", audio=True)
    for part in (
        "wav.scp: asr-1: audio file",
        "speech.scp: enh-1:",
        "is empty",
        "st-1: ",
        "is not audio",
        "spk2.scp: sep-1: ",
        "NaN or Inf, first at sample 7",
    ):
        assert part in message
    assert len(read_data_dir(data, TASKS)) == 7


def test_a_target_of_another_length_than_the_mixture_is_told(data, tmp_path):
    write_wav(tmp_path / "wavs" / "music-1_bass.wav", np.zeros(399), RATE)
    _problem(data, "bass.scp: music-1:", "has 399 samples", "utt2num_samples says 400", audio=True)


def test_lengths_are_compared_at_the_recipes_rate(data, tmp_path, capsys):
    write_wav(tmp_path / "wavs" / "asr-1.wav", np.full(200, 0.1), RATE // 2)
    validate_data_dir(data, TASKS, RATE)
    write_wav(tmp_path / "wavs" / "asr-1.wav", np.full(400, 0.1), RATE // 2)
    _problem(data, f"has 800 samples at {RATE} Hz", audio=True)


def test_a_failing_pipe_names_the_utterance(data):
    _edit(data / "wav.scp", (data / "wav.scp").read_text().splitlines()[0], "asr-1 false |")
    _problem(data, "wav.scp: asr-1: command 'false' failed with status 1", audio=True)


@pytest.fixture
def command(monkeypatch):
    """Runs the command in this process, which has its slow imports."""

    def run(*args) -> None:
        options = ["--tasks_config", str(TASKS_CONFIG), "--sample_rate", str(RATE)]
        monkeypatch.setattr(sys, "argv", ["validate_data_dir", *map(str, args), *options])
        validate_command.main()

    return run


def test_the_command_says_what_is_valid(data, command, capsys):
    command(data)
    assert capsys.readouterr().out == f"{data} is valid\n"


def test_the_command_ends_with_one_line_where_audio_is_missing(data, tmp_path, command):
    (tmp_path / "wavs" / "asr-1.wav").unlink()
    with pytest.raises(SystemExit) as caught:
        command(data)
    assert caught.value.code.startswith(f"error: {data}: wav.scp: asr-1: ")
    assert "\n" not in caught.value.code


def test_the_command_leaves_audio_alone_if_told(data, tmp_path, command, capsys):
    (tmp_path / "wavs" / "asr-1.wav").unlink()
    command(data, "--no_audio")
    assert capsys.readouterr().out == f"{data} is valid\n"


def test_the_waves_of_an_utterance_are_the_input_and_its_targets_in_the_tasks_order(utterances):
    enh = utterances[3]
    assert enh.waves == {"wav.scp": enh.wav, "speech.scp": enh.answers["speech"]}
    assert list(utterances[6].waves) == ["wav.scp", *(f"{t}.scp" for t in TASKS["music"].targets)]


def test_a_text_is_no_wave_even_of_an_utterance_with_waves(data, utterances):
    sep = replace(utterances[2], answers=utterances[2].answers | {"text": "GOOD MORNING"})
    write_data_dir(data, [sep], TASKS)
    (read,) = read_data_dir(data, TASKS)
    assert read.answers["text"] == "GOOD MORNING"
    assert list(read.waves) == ["wav.scp", "spk1.scp", "spk2.scp"]


def test_files_of_targets_that_no_task_has_are_left_alone(data):
    few = {name: TASKS[name] for name in ("asr", "st")}
    with pytest.raises(AioError, match="unknown task 'enh'. Known tasks: asr, st"):
        read_data_dir(data, few)
    only_text = [u for u in read_data_dir(data, TASKS) if u.task.name in few]
    write_data_dir(data, only_text, few)
    assert (data / "speech.scp").exists()
    assert read_data_dir(data, few) == only_text
