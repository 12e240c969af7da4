"""Tasks of a YAML file: what they become, and one clear line for every mistake."""

import pickle
from pathlib import Path

import pytest

from aio_toolkit.answers.audio import Audio, Match
from aio_toolkit.answers.text import Text
from aio_toolkit.errors import AioError
from aio_toolkit.tasks import (
    Task,
    get_task,
    group_by_output,
    load_tasks,
    task_to_dict,
    tasks_from_dicts,
)

REPO = Path(__file__).resolve().parents[1]
TEMPLATE = REPO / "egs/TEMPLATE/conf/tasks.yaml"

ASR = "asr: {title: recognition, output: text, targets: [text], metrics: [wer]}"
SEP = (
    "sep: {title: separation, output: audio, targets: [spk1, spk2], metrics: [si_sdr], "
    "audio: {match: permutation, residual: noise}}"
)


@pytest.fixture
def load(tmp_path):
    """The function that reads tasks from lines of YAML below `tasks:`."""

    def read(*entries: str, head: str = "tasks:") -> dict[str, Task]:
        path = tmp_path / "tasks.yaml"
        path.write_text("\n".join([head, *(f"  {entry}" for entry in entries)]) + "\n")
        return load_tasks(path)

    return read


def test_a_task_is_what_its_entry_says(load):
    tasks = load(ASR, SEP)
    assert list(tasks) == ["asr", "sep"]
    options = Text.Config(language="en")
    assert tasks["asr"] == Task("asr", "recognition", "text", ("text",), ("wer",), options)
    assert tasks["sep"].targets == ("spk1", "spk2")
    assert tasks["sep"].options == Audio.Config(Match.permutation, "noise")


def test_the_recipes_share_six_tasks_in_the_order_of_the_gates():
    for recipe in ("TEMPLATE", "mini_aio", "librispeech_wsj0mix"):
        tasks = load_tasks(REPO / "egs" / recipe / "conf/tasks.yaml")
        assert list(tasks) == ["asr", "st", "sep", "enh", "sound", "music"]


def test_tasks_know_their_kind_of_answer(load):
    tasks = load(ASR, SEP)
    assert isinstance(tasks["asr"].kind, Text)
    assert isinstance(tasks["sep"].kind, Audio)


def test_a_recipe_adds_to_its_base_and_changes_it(tmp_path):
    (tmp_path / "base.yaml").write_text(f"tasks:\n  {ASR}\n  {SEP}\n")
    path = tmp_path / "tasks.yaml"
    mine = "mt: {title: mt, output: text, targets: [text.de], metrics: [bleu]}"
    path.write_text(f"base: base.yaml\ntasks:\n  asr: {{title: ours}}\n  {mine}\n")
    tasks = load_tasks(path)
    assert [task.title for task in tasks.values()] == ["ours", "separation", "mt"]
    assert tasks["asr"].metrics == ("wer",)


def test_packages_of_parts_are_used(load, tmp_path, monkeypatch):
    folder = tmp_path / "my_parts/scoring/metrics"
    folder.mkdir(parents=True)
    for place in (tmp_path / "my_parts", folder.parent, folder):
        (place / "__init__.py").touch()
    (folder / "shouting.py").write_text(
        "from aio_toolkit.scoring.metrics.base import Metric\n\n\n"
        "class Shouting(Metric):\n    title = 'shouting'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("aio_toolkit.parts._packages", ["aio_toolkit"])
    entry = ASR.replace("wer", "shouting")
    tasks = load(entry, head="parts: [my_parts]\ntasks:")
    assert tasks["asr"].metrics == ("shouting",)


# --- checkpoints ---


def test_tasks_survive_a_checkpoint():
    tasks = load_tasks(TEMPLATE)
    entries = {name: task_to_dict(task) for name, task in tasks.items()}
    assert tasks_from_dicts(entries) == list(tasks.values())


def test_what_a_checkpoint_holds_of_a_task_is_plain():
    (task,) = tasks_from_dicts({"enh": task_to_dict(load_tasks(TEMPLATE)["enh"])})
    assert task_to_dict(task) == {
        "title": "speech enhancement",
        "output": "audio",
        "targets": ["speech"],
        "metrics": ["si_sdr"],
        "inputs": [],
        "audio": {"match": "query", "residual": "noise"},
    }


def test_tasks_travel_to_other_processes(load):
    task = load(SEP)["sep"]
    assert pickle.loads(pickle.dumps(task)) == task


def test_reading_the_tasks_of_a_checkpoint_leaves_it_as_it_was():
    entries = {"enh": task_to_dict(load_tasks(TEMPLATE)["enh"])}
    tasks_from_dicts(entries)
    assert "audio" in entries["enh"]


# --- groups ---


def test_tasks_are_grouped_by_kind_in_the_order_of_first_appearance():
    tasks = load_tasks(TEMPLATE)
    chosen = [tasks[name] for name in ("sound", "st", "sep", "asr")]
    groups = group_by_output(chosen)
    names = {kind: [task.name for task in of_kind] for kind, of_kind in groups.items()}
    assert names == {"audio": ["sound", "sep"], "text": ["st", "asr"]}
    assert list(groups) == ["audio", "text"]


def test_an_unknown_task_is_named_with_the_known_ones(load):
    with pytest.raises(AioError, match="unknown task 'asrr'. Known tasks: asr, sep."):
        get_task(load(ASR, SEP), "asrr")


# --- mistakes ---


def entry(**changed: str) -> str:
    values = {"title": "x", "output": "text", "targets": "[text]", "metrics": "[wer]"} | changed
    return f"t: {{{', '.join(f'{key}: {value}' for key, value in values.items() if value)}}}"


MISTAKES = {
    "an unknown metric": (
        entry(metrics="[werr]"),
        "task 't': key 'metrics': scoring/metrics: unknown kind 'werr'. Did you mean 'wer'?",
    ),
    "no metric": (entry(metrics="[]"), "key 'metrics' needs one at least: bleu, si_sdr, wer"),
    "metrics left out": (entry(metrics=""), "key 'metrics' has no value and needs one"),
    "an unknown kind": (
        entry(output="txt"),
        "task 't': key 'output': answers: unknown kind 'txt'. Did you mean 'text'?",
    ),
    "no kind": (entry(output=""), "task 't': key 'output' needs a kind of answer: audio, text"),
    "a number for a kind": (entry(output="3"), "key 'output' needs a kind of answer: audio, text"),
    "no title": (entry(title=""), "task 't': key 'title' has no value and needs one"),
    "an unknown key": (entry(titel="x"), "unknown key 'titel'. Did you mean 'title'?"),
    "a single value for targets": (entry(targets="text"), "task 't': key 'targets'"),
    "an unknown text": (
        entry(targets="[words]"),
        "task 't': unknown target 'words'. Call it 'text' or 'text.<language>'.",
    ),
    "two texts": (entry(targets="[text, text.fr]"), "a text task has one target, not 2"),
    "an unknown option": (
        entry(text="{langage: fr}"),
        "task 't': text: unknown key 'langage'. Did you mean 'language'?",
    ),
    "options of another kind": (entry(audio="{}"), "task 't': unknown key 'audio'"),
    "an unknown choice": (
        entry(output="audio", targets="[a, b]", metrics="[si_sdr]", audio="{match: best}"),
        "task 't': audio: key 'match'.*best",
    ),
    "a source that cannot name a file": (
        entry(output="audio", targets="[a/b]", metrics="[si_sdr]"),
        "'a/b' is no name of a source. Use letters, digits and underscores",
    ),
    "a source that names the input's file": (
        entry(output="audio", targets="[wav]", metrics="[si_sdr]"),
        "'wav' is no name of a source.*none of: wav, text",
    ),
    "no source": (
        entry(output="audio", targets="[]", metrics="[si_sdr]"),
        "an audio task has one target at least",
    ),
    "a residual called like a target": (
        entry(output="audio", targets="[a, b]", metrics="[si_sdr]", audio="{residual: b}"),
        "all have different names",
    ),
    "a permutation of one": (
        entry(output="audio", targets="[a]", metrics="[si_sdr]", audio="{match: permutation}"),
        "match: permutation needs two targets at least",
    ),
    "a value for a task": ("t: text", "task 't' is not a section of keys"),
    "a list for a task": ("t: [text]", "task 't' is not a section of keys"),
    "nothing for a task": ("t:", "task 't' is not a section of keys"),
    "a name that ids cannot begin with": (
        entry().replace("t:", "a-b:", 1),
        "task 'a-b': a name consists of letters, digits and underscores",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_that_names_file_and_task(load, mistake):
    line, message = MISTAKES[mistake]
    with pytest.raises(AioError, match=message) as caught:
        load(line)
    assert "tasks.yaml: task '" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("head", ["", "tasks:", "tasks: asr", "tasks: [asr]"])
def test_a_file_that_names_no_task_is_refused(load, head):
    with pytest.raises(AioError, match="tasks.yaml has no section 'tasks' that names a task"):
        load(head=head)


def test_another_section_is_named(load):
    with pytest.raises(AioError, match="unknown key 'task'. Known keys here: tasks, parts, base"):
        load(ASR, head="task:")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(AioError, match="tasks.yaml does not exist"):
        load_tasks(tmp_path / "tasks.yaml")


def test_one_target_cannot_be_of_two_kinds(tmp_path, monkeypatch, load):
    monkeypatch.setattr("aio_toolkit.answers.audio.RESERVED", ("wav",))
    sound = "mix: {title: x, output: audio, targets: [text], metrics: [si_sdr]}"
    with pytest.raises(AioError, match="target 'text' is text of one task and audio of another"):
        load(ASR, sound)
