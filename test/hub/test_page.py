"""The page without a browser: what it is made of, what it answers, what it keeps to itself."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from aio_toolkit.errors import AioError
from aio_toolkit.hub import page


@pytest.fixture
def recording(tmp_path) -> str:
    path = tmp_path / "call.wav"
    soundfile.write(path, np.random.default_rng(0).standard_normal((3000, 2)) / 8, 16000)
    return str(path)


# --- without gradio ---


def test_an_answer_has_the_title_of_its_task_and_a_card_for_each_source(model, recording):
    shown = page.answer(model, recording, "music", max_minutes=1)
    assert shown.title == model.tasks["music"].title
    titles = ["call.wav", *model.tasks["music"].targets, "rest"]
    assert [card.title for card in shown.cards] == titles
    assert {card.wave_SC.shape for card in shown.cards} == {(3000, 2)}


def test_without_a_recording_one_is_asked_for(model):
    with pytest.raises(AioError, match=r"no recording yet. Record one, or drop a file."):
        page.answer(model, None, "asr", max_minutes=1)


def test_a_problem_names_the_file_and_not_where_it_was_put(model, tmp_path):
    (tmp_path / "call.wav").write_text("not a sound")
    with pytest.raises(AioError, match=r"^call.wav is not audio that can be read"):
        page.answer(model, str(tmp_path / "call.wav"), "asr", max_minutes=1)


def test_the_longest_recording_is_as_long_as_told(model, recording):
    with pytest.raises(AioError, match=r"^call.wav lasts more than 0.12 s, which are"):
        page.answer(model, recording, "asr", max_minutes=0.002)


def test_where_gradio_is_missing_it_is_told_how_to_have_it(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(AioError, match=r'gradio. Install them: pip install "aio_toolkit\[demo\]".'):
        page.build(model, max_minutes=1)


def test_a_model_all_of_whose_tasks_hear_more_has_no_page(model):
    task = replace(model.tasks["enh"], inputs=("enrolment",))
    with pytest.raises(AioError, match="all tasks of this model hear more than a recording"):
        page.build(SimpleNamespace(tasks={"enh": task}), max_minutes=1)


# --- with gradio ---


@pytest.fixture
def gr(monkeypatch):
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    return pytest.importorskip("gradio", reason="needs the extra `demo`")


def parts(built, kind: str) -> list:
    return [block for block in built.blocks.values() if block.get_block_name() == kind]


def clicked(built):
    """What the button does."""
    (function,) = [f for f in built.fns.values() if any(t[1] == "click" for t in f.targets)]
    return function


def test_every_task_of_recordings_may_be_chosen(gr, model):
    asks_more = replace(model.tasks["enh"], name="target", inputs=("enrolment",))
    few = SimpleNamespace(tasks={**model.tasks, "target": asks_more})
    (radio,) = parts(page.build(few, max_minutes=1), "radio")
    names = [name for _, name in radio.choices]
    assert names == ["asr", "st", "sep", "enh", "sound", "music"]
    assert radio.choices[0] == (model.tasks["asr"].title, "asr")


def test_one_job_runs_at_a_time_and_few_wait(gr, model):
    built = page.build(model, max_minutes=1)
    assert built._queue.max_size == 8
    assert built._queue.default_concurrency_limit == 1
    assert clicked(built).concurrency_limit in ("default", 1)
    assert clicked(built).api_visibility == "private"
    assert built.delete_cache == (60, 1800)
    assert not built.analytics_enabled


def visible(made: list, kind: type) -> list[bool]:
    return [one.visible for one in made if isinstance(one, kind)]


@pytest.mark.parametrize("task", ["enh", "music"])
def test_sources_fill_as_many_cards_as_they_need(gr, model, recording, monkeypatch, task):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(Path(recording).parent))
    function = clicked(page.build(model, max_minutes=1))
    made = function.fn(recording, task)
    assert len(made) == len(function.outputs)
    titles = ["call.wav", *model.tasks[task].targets, "rest"]
    # Music has the most; the place for text comes last.
    columns = visible(made, gr.Column)
    assert columns == [True] * len(titles) + [False] * (7 - len(titles))
    assert made[0] == f"## {model.tasks[task].title}"
    pairs = zip(function.outputs, made, strict=True)
    labels = [one.label for slot, one in pairs if isinstance(slot, gr.Audio) and one]
    assert labels == titles


def test_words_stand_beside_the_recording(gr, model, recording, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(Path(recording).parent))
    function = clicked(page.build(model, max_minutes=1))
    made = function.fn(recording, "asr")
    heard = model.transcribe(recording)
    columns = visible(made, gr.Column)
    assert (columns[0], columns[-1]) == (True, True)
    assert not any(columns[1:-1])
    assert made[-2] == heard.text
    rows = [[w.text, f"{w.start:.2f}", f"{w.end:.2f}"] for w in heard.words]
    assert made[-1].value["data"] == rows
    assert made[-1].visible == bool(rows)


def test_a_problem_is_a_line_without_tags_and_clears_the_answer(gr, model, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(gr, "Warning", lambda message, **how: told.append((message, how)))
    (tmp_path / "<b>.wav").write_text("not a sound")
    made = clicked(page.build(model, max_minutes=1)).fn(str(tmp_path / "<b>.wav"), "asr")
    ((message, how),) = told
    assert message.startswith("&lt;b&gt;.wav is not audio")
    # It stays until it is read.
    assert how["duration"] is None
    assert visible(made, gr.Column) == [False] * 7
    assert not made[0]


def test_a_player_gets_the_samples_as_they_are(gr, tmp_path, monkeypatch):
    """It would scale floats to their peak."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    wave_SC = np.array([[100, -50], [0, 25]], np.int16)
    stored = gr.Audio().postprocess((8000, wave_SC))
    np.testing.assert_array_equal(soundfile.read(stored.path, dtype="int16")[0], wave_SC)
