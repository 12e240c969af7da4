"""A model from its folder, and what it says to recordings."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
from tiny import RATE

import aio_toolkit
from aio_toolkit.errors import AioError
from aio_toolkit.hub.answers import AudioAnswer, TextAnswer


def noise(num_samples: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(num_samples).astype(np.float32) / 4


@pytest.mark.parametrize(
    ("verb", "task"),
    [
        ("separate", "sep"),
        ("enhance", "enh"),
        ("sounds", "sound"),
        ("music", "music"),
    ],
)
def test_every_verb_of_sound_answers_its_task(model, verb, task):
    answer = getattr(model, verb)(noise(4000), rate=RATE)
    assert isinstance(answer, AudioAnswer)
    assert answer.task == task
    assert tuple(answer.waves) == model.tasks[task].targets


@pytest.mark.parametrize(("verb", "task"), [("transcribe", "asr"), ("translate", "st")])
def test_every_verb_of_words_answers_its_task(model, verb, task):
    answer = getattr(model, verb)(torch.from_numpy(noise(4000)), rate=RATE)
    assert isinstance(answer, TextAnswer)
    assert answer.task == task
    assert str(answer) == answer.text


def test_a_list_of_recordings_has_a_list_of_answers_in_its_order(model):
    short, long = noise(1000), noise(2000)
    answers = model.answer("enh", [short, long], rate=RATE)
    assert [answer["speech"].shape for answer in answers] == [(1, 1000), (1, 2000)]
    np.testing.assert_array_equal(answers[1]["speech"], model.enhance(long, rate=RATE)["speech"])


def test_a_task_that_the_model_lacks_is_told_with_those_it_has(model):
    with pytest.raises(AioError, match="no task 'notes'. Its tasks: asr, st, sep, enh, sound, mus"):
        model.answer("notes", noise(1000), rate=RATE)


def test_a_card_tells_tasks_rate_and_size(model):
    first, size, _, *tasks = model.describe().splitlines()
    assert first.endswith(", hears 16000 Hz")
    assert size.startswith("parameters: backbone ")
    assert tasks[2] == "  sep    speech separation: spk1, spk2"
    assert len(tasks) == 6


def test_a_packed_model_tells_what_its_card_says_too(packed, model):
    card = aio_toolkit.load(packed, device="cpu").describe().splitlines()
    assert card[1:9] == model.describe().splitlines()[1:]
    assert card[9:] == ["trained on: mini_aio", "licence: cc-by-4.0"]


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, aio_toolkit; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_options_are_those_of_the_kind_of_answer(model):
    with pytest.raises(AioError, match="options of task 'enh': unknown key 'num_source'. Did you"):
        model.enhance(noise(1000), rate=RATE, num_source=1)
    with pytest.raises(AioError, match="window: 0 is not from"):
        model.enhance(noise(1000), rate=RATE, window=0)


def test_a_language_that_it_does_not_know_is_told_with_those_it_does(model):
    assert model.translate(noise(4000), rate=RATE, to="fr").task == "st"
    with pytest.raises(AioError, match="does not translate into 'de'. Its languages: fr"):
        model.translate(noise(4000), rate=RATE, to="de")


@pytest.mark.parametrize("task", ["enh", "asr"])
def test_what_is_heard_while_it_goes_on_is_the_answer_to_the_whole(model, task, monkeypatch):
    from aio_toolkit.hub.answerers import audio

    monkeypatch.setattr(audio, "OVERLAP", 0.2)
    wave_S = noise(3 * RATE + 17)
    chunks = (wave_S[start : start + 777] for start in range(0, len(wave_S), 777))
    pieces = [*model.stream(task, chunks, RATE, window=0.5)]
    whole = model.answer(task, wave_S, rate=RATE, window=0.5)
    joined = type(whole).joined(pieces)
    if task == "asr":
        assert joined.text == whole.text
    else:
        assert len(pieces) > 5
        np.testing.assert_allclose(joined["speech"], whole["speech"], atol=1e-5)


def test_an_answer_goes_into_a_folder_window_by_window(model, tmp_path):
    wave_S = noise(5000)
    assert model.enhance(wave_S, rate=RATE, out=tmp_path / "a") == tmp_path / "a"
    found_S, rate = soundfile.read(tmp_path / "a" / "speech.wav", dtype="float32")
    assert rate == RATE
    np.testing.assert_array_equal(found_S, model.enhance(wave_S, rate=RATE)["speech"][0])


def test_a_list_has_no_single_folder(model, tmp_path):
    with pytest.raises(AioError, match="a list of recordings has no single folder"):
        model.enhance([noise(100)], rate=RATE, out=tmp_path)


def test_without_its_codec_a_model_says_how_to_name_it(model):
    with pytest.raises(AioError, match="needs the model's codec. Name it: load"):
        model.enhance(noise(1000), rate=RATE, through="codec")
    with pytest.raises(AioError, match="needs the model's codec"):
        _ = model.enhance(noise(1000), rate=RATE).codes


def test_the_codec_of_another_model_is_refused(model_folder):
    other = aio_toolkit.load(model_folder, "cpu", codec="egs/mini_aio/codec")
    with pytest.raises(AioError, match="codec egs/mini_aio/codec: made for another one"):
        other.enhance(noise(1000), rate=RATE, through="codec")
