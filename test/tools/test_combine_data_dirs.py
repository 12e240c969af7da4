"""utils/combine_data_dirs.py: several data dirs become one."""

import runpy
import sys
from pathlib import Path

import pytest

from aio_toolkit.data.datadir import Utterance, read_data_dir, write_data_dir
from aio_toolkit.tasks import load_tasks

ROOT = Path(__file__).resolve().parents[2]
TASKS_CONFIG = ROOT / "egs" / "TEMPLATE" / "conf" / "tasks.yaml"
TASKS = load_tasks(TASKS_CONFIG)


@pytest.fixture
def combine(monkeypatch: pytest.MonkeyPatch):
    """Runs the script in this process, which has its slow imports."""

    def run(*arguments: Path) -> None:
        script = ROOT / "utils" / "combine_data_dirs.py"
        options = ["--tasks_config", str(TASKS_CONFIG)]
        monkeypatch.setattr(sys, "argv", [str(script), *map(str, arguments), *options])
        runpy.run_path(str(script), run_name="__main__")

    return run


def speech(name: str) -> Utterance:
    answers = {"text": name.upper()}
    return Utterance(f"asr-{name}", TASKS["asr"], "ann", f"{name}.wav", 16000, answers)


def test_the_joined_directory_holds_every_utterance_once(combine, tmp_path: Path) -> None:
    first, second = [speech("b")], [speech("a"), speech("c")]
    write_data_dir(tmp_path / "first", first, TASKS)
    write_data_dir(tmp_path / "second", second, TASKS)
    combine(tmp_path / "all", tmp_path / "first", tmp_path / "second")
    joined = sorted(first + second, key=lambda utterance: utterance.id)
    assert read_data_dir(tmp_path / "all", TASKS) == joined


def test_an_id_in_two_sources_is_refused_by_name(combine, tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_data_dir(tmp_path / name, [speech("a")], TASKS)
    with pytest.raises(SystemExit) as caught:
        combine(tmp_path / "all", tmp_path / "first", tmp_path / "second")
    assert caught.value.code.startswith("error: ")
    assert "asr-a" in caught.value.code
    assert "first" in caught.value.code
    assert not (tmp_path / "all").exists()
