"""Files are whole or not there."""

import errno
import hashlib
import os
import signal
import stat
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path, file_name, read_json, sha256_file, write_json


def test_the_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with atomic_path(path) as temporary:
        temporary.write_text("hello")
        assert not path.exists()
        assert temporary.parent == path.parent and temporary.suffix == ".txt"
    assert path.read_text() == "hello"
    assert os.listdir(path.parent) == ["a.txt"]


HOSTILE = ["../../x", "/etc/x", "..", ".", "a/../b", "a\\b", "a\0b", "é\u2028", "x" * 5000]


@pytest.mark.parametrize("id", HOSTILE)
def test_no_name_leads_out_of_its_folder_or_is_too_long(tmp_path, id):
    path = tmp_path / "in" / file_name(id)
    assert path.resolve().parent == (tmp_path / "in").resolve()
    with atomic_path(f"{path}_vocals.wav") as temporary:
        temporary.touch()
    assert len(os.listdir(tmp_path / "in")) == 1


def test_plain_ids_are_their_own_names():
    for id in ("asr-0001", "A_b.c", "7+8,9=@x"):
        assert file_name(id) == id


@given(st.text(max_size=200), st.text(max_size=200))
def test_no_two_ids_have_the_same_name(one, other):
    assert (file_name(one) == file_name(other)) == (one == other)


def test_long_ids_that_begin_alike_have_names_of_their_own():
    assert file_name("x" * 200) != file_name("x" * 201)


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
