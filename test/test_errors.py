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


def test_a_command_that_is_told_to_end_says_how_to_go_on():
    waits = (
        "import time; from aio_toolkit.errors import cli\n"
        "def main(): print('begun', flush=True); time.sleep(60)\n"
        "cli(main)()"
    )
    command = [sys.executable, "-c", waits]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"begun\n"
        process.terminate()
        _, err = process.communicate(timeout=30)
    assert err == b"stopped by SIGTERM: run the same command again to go on\n"
    assert process.returncode == 128 + signal.SIGTERM


def test_a_command_leaves_the_signals_of_its_process_alone():
    before = signal.getsignal(signal.SIGTERM)
    cli(lambda: None)()
    assert signal.getsignal(signal.SIGTERM) is before
