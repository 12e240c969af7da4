"""Work spread over processes: results, their order, and what happens when a process goes away."""

import errno
import multiprocessing.synchronize
import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest

from aio_toolkit import parts
from aio_toolkit.errors import AioError
from aio_toolkit.parallel import parallel_map

# A second interpreter takes seconds to import torch: whoever starts one is slow.
slow = pytest.mark.slow


def test_one_job_runs_in_this_process():
    assert list(parallel_map(lambda _: os.getpid(), range(2), 1)) == [os.getpid()] * 2


def test_memory_that_cannot_be_shared_is_told_before_anything_begins(monkeypatch):
    """As in a container whose /dev/shm is read-only."""

    def refuse(*_) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(multiprocessing.synchronize._multiprocessing, "SemLock", refuse)
    with pytest.raises(AioError, match=r"\(/dev/shm\) cannot be used: Read-only .*: --nj 1\.$"):
        list(parallel_map(abs, [1], 2))
    assert list(parallel_map(abs, [-1], 1)) == [1]


@slow
def test_results_come_in_the_order_of_the_items():
    assert list(parallel_map(abs, range(-3, 4), 2, chunksize=3)) == [3, 2, 1, 0, 1, 2, 3]


@slow
def test_unordered_results_come_as_they_are_finished(tmp_path):
    flag = tmp_path / "flag"
    last = f"until [ -e {flag} ]; do sleep 0.1; done; sleep 2; echo last"
    run = partial(subprocess.check_output, shell=True, text=True)
    results = parallel_map(run, [last, "echo first", f"touch {flag}; echo next"], 2, ordered=False)
    assert list(results) == ["first\n", "next\n", "last\n"]


@slow
def test_a_killed_worker_is_an_error_and_not_a_hang():
    with pytest.raises(AioError, match="a worker process died.*--nj"):
        list(parallel_map(signal.raise_signal, [signal.SIGKILL] * 3, 2))


@slow
def test_an_error_is_raised_without_waiting_for_work_that_was_begun():
    start = time.monotonic()
    with pytest.raises(TypeError):
        list(parallel_map(time.sleep, [300.0, "not a number"], 2, ordered=False))
    assert time.monotonic() - start < 100


@slow
def test_an_error_of_the_user_keeps_its_message():
    missing = "no_such_kind"
    with pytest.raises(AioError, match=f"unknown kind '{missing}'"):
        list(parallel_map(partial(parts.locate, "codec"), [missing], 2))


@slow
def test_workers_look_for_parts_in_the_same_packages(monkeypatch):
    monkeypatch.setattr(parts, "_packages", ["aio_toolkit"])
    parts.use(["json"])
    ask = "__import__('aio_toolkit.parts').parts.packages()"
    assert list(parallel_map(eval, [ask], 2)) == [["aio_toolkit", "json"]]


@slow
def test_workers_have_one_thread_each():
    assert list(parallel_map(eval, ["__import__('torch').get_num_threads()"] * 2, 2)) == [1, 1]


@slow
def test_workers_end_with_a_parent_that_was_killed():
    work = "import os, time; os.write(1, b'working\\n'); time.sleep(300)"
    program = f"""
from aio_toolkit.parallel import parallel_map
if __name__ == "__main__":
    list(parallel_map(exec, [{work!r}] * 2, 2))
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert [parent.stdout.readline() for _ in range(2)] == [b"working\n"] * 2
    parent.kill()
    # The pipe ends when the last process that writes to it has ended.
    parent.communicate(timeout=60)


def test_a_worker_leaves_signals_to_its_parent():
    code = (
        "import os, signal; from aio_toolkit.parallel import leave_signals_to_parent\n"
        "leave_signals_to_parent()\n"
        "for name in ('SIGINT', 'SIGTERM', 'SIGUSR1'):\n"
        "    os.kill(os.getpid(), getattr(signal, name))\n"
        "print('alive')"
    )
    assert subprocess.check_output([sys.executable, "-c", code]) == b"alive\n"
