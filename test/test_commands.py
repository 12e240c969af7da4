"""One command that runs all others."""

import subprocess
import sys

import pytest

from aio_toolkit import commands


def run(monkeypatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["aio-toolkit", *arguments])
    commands.main()


def test_without_a_verb_it_lists_them_all(monkeypatch, capsys):
    run(monkeypatch)
    said = capsys.readouterr().out
    for verb in ("answer", "decode", "score", "train_aio"):
        assert f"\n  {verb} " in said


def test_a_verb_runs_the_command_of_its_name_with_its_arguments(monkeypatch, capsys):
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, "answer", "--help")
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith("usage: aio-toolkit answer ")
    assert "--task" in said


def test_an_unknown_verb_is_told_with_the_nearest(monkeypatch):
    with pytest.raises(SystemExit, match="no command 'anwser'. Did you mean 'answer'?"):
        run(monkeypatch, "anwser")


def test_it_starts_at_once():
    code = (
        "import sys; from aio_toolkit.commands import usage; usage(); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
