"""Several data dirs become one."""

import sys

import pytest
from tiny import ALL, TASKS_YAML

from aio_toolkit.bin import combine_data_dirs
from aio_toolkit.data.datadir import Utterance, read_data_dir, write_data_dir


@pytest.fixture
def combine(monkeypatch):
    def run(*arguments) -> None:
        words = [*map(str, arguments), "--tasks_config", str(TASKS_YAML)]
        monkeypatch.setattr(sys, "argv", ["combine_data_dirs", *words])
        combine_data_dirs.main()

    return run


def speech(name: str) -> Utterance:
    answers = {"text": name.upper()}
    return Utterance(f"asr-{name}", ALL["asr"], "ann", f"{name}.wav", 16000, answers)


def test_the_joined_directory_holds_every_utterance_once(combine, tmp_path):
    first, second = [speech("b")], [speech("a"), speech("c")]
    write_data_dir(tmp_path / "first", first, ALL)
    write_data_dir(tmp_path / "second", second, ALL)
    combine(tmp_path / "all", tmp_path / "first", tmp_path / "second")
    joined = sorted(first + second, key=lambda utterance: utterance.id)
    assert read_data_dir(tmp_path / "all", ALL) == joined


def test_an_id_in_two_sources_is_refused_by_name(combine, tmp_path):
    for name in ("first", "second"):
        write_data_dir(tmp_path / name, [speech("a")], ALL)
    with pytest.raises(SystemExit) as caught:
        combine(tmp_path / "all", tmp_path / "first", tmp_path / "second")
    assert caught.value.code.startswith("error: ")
    assert "asr-a" in caught.value.code
    assert "first" in caught.value.code
    assert not (tmp_path / "all").exists()
