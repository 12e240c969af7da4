"""Checkpoints: whole or not there, the one before kept, and nothing in them that runs."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from aio_toolkit.errors import AioError
from aio_toolkit.training.checkpoints import CheckpointFiles, is_whole, newest


def save(folder: Path, *steps: int) -> None:
    for step in steps:
        content = {"step": step, "weights": torch.full((1000,), float(step))}
        CheckpointFiles().save_checkpoint(content, folder / "last.ckpt")


def step_of(path: Path) -> int:
    return CheckpointFiles().load_checkpoint(path)["step"]


def test_the_newest_and_the_one_before_are_kept(tmp_path):
    save(tmp_path, 1, 2, 3)
    assert sorted(os.listdir(tmp_path)) == ["last.ckpt", "previous.ckpt"]
    assert step_of(tmp_path / "last.ckpt") == 3
    assert step_of(tmp_path / "previous.ckpt") == 2


def test_the_best_weights_are_kept_once(tmp_path):
    for step in (1, 2):
        CheckpointFiles().save_checkpoint({"step": step}, tmp_path / "best.ckpt")
    assert os.listdir(tmp_path) == ["best.ckpt"]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def zero(path: Path) -> None:
    """What a disk leaves that lost a block."""
    content = bytearray(path.read_bytes())
    place = content.index(torch.full((8,), 3.0).numpy().tobytes())
    content[place : place + 16] = bytes(16)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, empty, zero, Path.unlink])
def test_a_damaged_state_gives_way_to_the_one_before(tmp_path, capsys, damage):
    save(tmp_path, 1, 2, 3)
    assert newest(tmp_path) == tmp_path / "last.ckpt"
    assert capsys.readouterr().out == ""
    damage(tmp_path / "last.ckpt")
    assert newest(tmp_path) == tmp_path / "previous.ckpt"
    told = f"last.ckpt is missing or damaged: the run goes on from {tmp_path / 'previous.ckpt'}"
    assert told in capsys.readouterr().out
    # From here on the run writes as it always does.
    save(tmp_path, 4, 5)
    assert [step_of(tmp_path / name) for name in ("last.ckpt", "previous.ckpt")] == [5, 4]


def test_a_run_of_which_nothing_can_be_read_is_told_not_begun_again(tmp_path):
    assert newest(tmp_path) is None
    save(tmp_path, 1, 2)
    for name in ("last.ckpt", "previous.ckpt"):
        cut(tmp_path / name)
    with pytest.raises(AioError, match=rf"last.ckpt is damaged.*Delete {tmp_path} to begin"):
        newest(tmp_path)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return exec, ("raise SystemExit('hacked')",)

    torch.save({"state_dict": Evil()}, tmp_path / "last.ckpt")
    assert is_whole(tmp_path / "last.ckpt")
    # Lightning asks for what it likes.
    with pytest.raises(Exception, match="(?i)weights"):
        CheckpointFiles().load_checkpoint(tmp_path / "last.ckpt", weights_only=False)


def test_a_full_disk_costs_the_newest_state_alone_and_is_told_with_its_folder(tmp_path):
    save(tmp_path, 1)
    code = (
        "import sys; from aio_toolkit.errors import cli; import torch\n"
        "from aio_toolkit.training.checkpoints import CheckpointFiles\n"
        "content = {'weights': torch.zeros(100_000)}\n"
        "cli(lambda: CheckpointFiles().save_checkpoint(content, sys.argv[1]))()"
    )

    def limit() -> None:
        # As a quota does: a file may be so long and no longer.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    path = tmp_path / "last.ckpt"
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit)
    assert done.returncode == 1
    assert done.stderr == (
        f"error: cannot write at {path}: File too large. "
        "Free some space or choose another folder.\n"
    )
    assert os.listdir(tmp_path) == ["previous.ckpt"]
    assert step_of(newest(tmp_path)) == 1
