"""A folder is taken for contents that depend on its stamp alone."""

import errno
import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from aio_toolkit.errors import AioError
from aio_toolkit.files import read_json
from aio_toolkit.folders import STAMP, alone_in, claim


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    claim(folder, {"seed": 0})
    (folder / "a.wav").touch()
    return folder


def test_a_new_folder_keeps_its_stamp(folder):
    assert read_json(folder / STAMP) == {"seed": 0}


def test_what_was_made_with_the_same_stamp_stays(folder, capsys):
    claim(folder, {"seed": 0})
    assert (folder / "a.wav").exists()
    assert capsys.readouterr().out == ""


def test_what_was_made_with_another_stamp_goes_and_that_is_said(folder, capsys):
    claim(folder, {"seed": 1})
    assert [path.name for path in folder.iterdir()] == [STAMP]
    assert read_json(folder / STAMP) == {"seed": 1}
    assert f"{folder}: other settings" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b'{"seed"', b"\xff\xfe"])
def test_what_was_made_with_nobody_knows_what_goes(folder, content):
    (folder / STAMP).write_bytes(content)
    claim(folder, {"seed": 0})
    assert [path.name for path in folder.iterdir()] == [STAMP]
    assert read_json(folder / STAMP) == {"seed": 0}


def test_only_what_the_caller_clears_goes(folder):
    (folder / "mine.txt").touch()
    claim(folder, {"seed": 1}, clear=lambda path: (path / "a.wav").unlink())
    assert (folder / "mine.txt").exists() and not (folder / "a.wav").exists()


def test_what_a_killed_process_was_writing_goes(folder):
    (folder / "train").mkdir()
    (folder / "train" / ".tmp-x.wav").touch()
    claim(folder, {"seed": 0})
    assert list((folder / "train").iterdir()) == []


def test_files_of_somebody_else_are_refused_and_stay(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(AioError, match="has files but no stamp.json"):
        claim(tmp_path, {"seed": 0})
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_leftovers_of_killed_runs_go_before_the_next_begins(tmp_path):
    (tmp_path / "checkpoints" / ".tmp-folder").mkdir(parents=True)
    for name in (".tmp-a.pt", "checkpoints/.tmp-b.ckpt", "checkpoints/.tmp-folder/.tmp-c", "d.pt"):
        (tmp_path / name).touch()
    with alone_in(tmp_path):
        left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert left == ["checkpoints", "d.pt"]


HOLDS = (
    "import sys, time; from pathlib import Path; from aio_toolkit.folders import alone_in\n"
    "with alone_in(Path(sys.argv[1])): print('in', flush=True); time.sleep(60)"
)


def test_a_folder_is_free_again_when_its_process_is_killed(tmp_path):
    command = [sys.executable, "-c", HOLDS, str(tmp_path / "exp")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"in\n"
        with pytest.raises(AioError, match="another run is writing"), alone_in(tmp_path / "exp"):
            pass
        process.kill()
    with alone_in(tmp_path / "exp"):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF])
def test_a_file_system_without_locks_lets_everybody_in(tmp_path, monkeypatch, number):
    def refuse(*arguments) -> None:
        raise OSError(number, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with alone_in(tmp_path), alone_in(tmp_path):
        pass
