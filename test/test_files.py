"""Files are whole or not there."""

import errno
import hashlib
import os
import signal
import stat
import subprocess
import sys

import pytest

from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path, read_json, sha256_file, write_json


def test_the_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with atomic_path(path) as temporary:
        temporary.write_text("hello")
        assert not path.exists()
        assert temporary.parent == path.parent and temporary.suffix == ".txt"
    assert path.read_text() == "hello"
    assert os.listdir(path.parent) == ["a.txt"]


def test_a_failed_block_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_killed_process_leaves_nothing_under_the_final_name(tmp_path):
    code = (
        "import sys, time\nfrom aio_toolkit.files import atomic_path\n"
        "with atomic_path(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half'); print('written', flush=True); time.sleep(60)"
    )
    path = tmp_path / "a.txt"
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
    assert not path.exists()


def test_a_file_gets_the_mode_that_open_gives(tmp_path):
    with atomic_path(tmp_path / "a") as temporary:
        temporary.write_text("a")
    (tmp_path / "b").write_text("b")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == stat.S_IMODE(
        (tmp_path / "b").stat().st_mode
    )


def test_json_comes_back(tmp_path):
    value = {"text": "été", "numbers": [1, 2.5, None], "nested": {"a": True}}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    assert "été" in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_a_missing_json_names_the_file_and_the_remedy(tmp_path):
    with pytest.raises(AioError, match=r"a\.json does not exist\. Run the stage"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize("content", [b"", b'{"half": ', b"\xe9"])
def test_a_damaged_json_names_the_file_and_the_remedy(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(AioError, match=r"a\.json is not valid JSON .* Delete it"):
        read_json(tmp_path / "a.json")


def test_the_hash_is_that_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 100000)
    assert sha256_file(tmp_path / "a") == hashlib.sha256(b"abc" * 100000).hexdigest()


def test_a_failed_write_is_told_by_the_file_that_it_was_for(tmp_path):
    with pytest.raises(OSError, match="a.txt") as caught, atomic_path(tmp_path / "a.txt"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.filename == str(tmp_path / "a.txt")
