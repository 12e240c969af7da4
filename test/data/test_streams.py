"""Pipes, streams and rests of files, as files."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aio_toolkit.data.streams import output_of, rest_of, seekable
from aio_toolkit.errors import AioError

WHENCES = (io.SEEK_SET, io.SEEK_CUR, io.SEEK_END)


@given(
    st.binary(min_size=1, max_size=60),
    st.integers(0, 59),
    st.lists(
        st.one_of(
            st.tuples(st.just("read"), st.integers(0, 20), st.none()),
            st.tuples(st.just("seek"), st.integers(0, 20), st.sampled_from(WHENCES)),
        )
    ),
)
def test_the_rest_of_a_file_is_like_a_file_of_it(content, start, steps):
    start = min(start, len(content))
    rest, file = rest_of(io.BytesIO(content), start), io.BytesIO(content[start:])
    for step, number, whence in steps:
        if step == "read":
            assert rest.read(number) == file.read(number)
        else:
            assert rest.seek(number, whence) == file.seek(number, whence)
        assert rest.tell() == file.tell()


def test_commands_that_are_off_are_told_and_not_run(tmp_path, monkeypatch):
    monkeypatch.setenv("AIO_PIPES", "off")
    command = f"touch {tmp_path}/ran; cat {__file__}"
    with (
        pytest.raises(AioError, match=r"cat .* \|' is a command, and commands in lists are off"),
        output_of(command),
    ):
        pass
    assert not (tmp_path / "ran").exists()
    monkeypatch.setenv("AIO_PIPES", "on")
    with output_of(command):
        assert (tmp_path / "ran").exists()


class _Once(io.BytesIO):
    def seekable(self):
        return False

    def seek(self, *_):
        raise io.UnsupportedOperation("seek")


def test_a_stream_can_be_read_twice():
    with seekable(_Once(b"hello" * 99)) as file:
        for _ in range(2):
            file.seek(0)
            assert file.read() == b"hello" * 99


def test_what_a_command_writes_can_be_read_twice():
    with output_of("printf hello; echo world >&2") as file:
        for _ in range(2):
            file.seek(0)
            assert file.read() == b"hello"


def test_a_command_that_writes_much_to_both_ends_does_not_hang():
    with output_of("head -c 300000 /dev/zero | tee /dev/stderr") as file:
        assert len(file.read()) == 300000


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("exit 3", "failed with status 3: it said nothing. Run it by hand"),
        ("echo one two >&2; false", "failed with status 1: one two. Run it by hand"),
        ("true", "wrote no audio"),
        ("cat /dev/zero | head -c 9", "status 141.*closed.*end the line with '; true |'"),
    ],
)
def test_a_failure_is_told(command, says):
    with pytest.raises(AioError, match=says.replace("|", r"\|")), output_of(command):
        pass


def test_what_is_told_of_a_closed_pipe_helps():
    with output_of("cat /dev/zero | head -c 9; true ") as file:
        assert file.read() == bytes(9)
