"""The words of a process that fails reach those that train with it."""

import os
import threading
import time

import pytest

from aio_toolkit.errors import AioError
from aio_toolkit.training import failures
from aio_toolkit.training.failures import FAILED, told_to_others

GLOO = RuntimeError("[/pytorch/third_party/gloo/pair.cc:547] Connection closed by peer")


def _fail(folder, error: Exception, num_processes: int = 2) -> None:
    with told_to_others(folder, num_processes):
        raise error


def test_the_others_end_with_the_words_of_the_one_that_failed(tmp_path):
    def fail_later() -> None:
        time.sleep(0.3)
        with pytest.raises(AioError):
            _fail(tmp_path, AioError("a wave is gone."))

    failing = threading.Thread(target=fail_later)
    failing.start()
    with pytest.raises(AioError, match="^a wave is gone.$"):
        _fail(tmp_path, GLOO)
    failing.join()


def test_words_of_a_run_before_are_not_taken_for_those_of_this_one(tmp_path, monkeypatch):
    monkeypatch.setattr(failures, "WAIT", 0.3)
    (tmp_path / FAILED).write_text("long ago.")
    os.utime(tmp_path / FAILED, (1, 1))
    with pytest.raises(AioError, match="has ended without a word: it was killed"):
        _fail(tmp_path, GLOO)


def test_other_errors_are_bugs_and_keep_what_they_say(tmp_path):
    with pytest.raises(RuntimeError, match="^shapes differ$"):
        _fail(tmp_path, RuntimeError("shapes differ"))
    with pytest.raises(RuntimeError, match="gloo"):
        _fail(tmp_path, GLOO, num_processes=1)


def test_a_process_alone_leaves_no_words(tmp_path):
    with pytest.raises(AioError, match="^x.$"):
        _fail(tmp_path, AioError("x."), num_processes=1)
    assert not (tmp_path / FAILED).exists()
