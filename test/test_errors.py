"""What a user sees of a mistake, and what a developer sees of a bug."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from aio_toolkit.errors import AioError, cli, shown


def _fail(error: BaseException):
    @cli
    def main() -> None:
        raise error

    return main


def test_a_mistake_is_one_line_and_status_1():
    with pytest.raises(SystemExit) as caught:
        _fail(AioError("wav.scp line 3: is empty. Remove it."))()
    # sys.exit prints a string to stderr and exits with status 1.
    assert caught.value.code == "error: wav.scp line 3: is empty. Remove it."


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        _fail(ZeroDivisionError())()


def test_an_interrupt_says_how_to_go_on(capsys):
    with pytest.raises(SystemExit) as caught:
        _fail(KeyboardInterrupt())()
    assert caught.value.code == 130
    assert "run the same command again" in capsys.readouterr().err


@pytest.mark.parametrize(
    "number",
    [
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS),
        *(errno.ENOTDIR, errno.EEXIST),
    ],
)
def test_a_full_or_closed_disk_is_the_users_to_mend(number):
    with pytest.raises(SystemExit) as caught:
        _fail(OSError(number, os.strerror(number), "exp/model"))()
    assert "exp/model" in caught.value.code and os.strerror(number) in caught.value.code


def test_other_errors_of_the_system_are_bugs():
    with pytest.raises(FileNotFoundError):
        _fail(FileNotFoundError(errno.ENOENT, "no such file", "x"))()


def test_what_succeeds_returns_and_keeps_its_name():
    @cli
    def main() -> None:
        """Do nothing."""

    assert main() is None
    assert (main.__name__, main.__doc__) == ("main", "Do nothing.")


@pytest.mark.skipif(
    not os.path.exists("/dev/full"), reason="this system has no device that is always full"
)
def test_a_checkpoint_on_a_full_disk_is_one_line():
    @cli
    def main() -> None:
        import torch

        torch.save({"weights": torch.zeros(10**6)}, "/dev/full")

    with pytest.raises(SystemExit, match="disk is probably full"):
        main()


def test_other_failures_at_run_time_are_bugs():
    with pytest.raises(RuntimeError):
        _fail(RuntimeError("shapes differ"))()


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, ""), (1, "a"), (3, "a, b, c"), (4, "a, b, c and 1 more"), (7, "a, b, c and 4 more")],
)
def test_a_message_shows_the_first_names_and_the_count_of_the_others(count, expected):
    assert shown("abcdefg"[:count], limit=3) == expected


def test_a_reader_that_has_had_enough_ends_the_command_without_a_word():
    many = "from aio_toolkit.errors import cli; cli(lambda: print('line\\n' * 99999))()"
    command = [sys.executable, "-c", many]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 128 + signal.SIGPIPE
