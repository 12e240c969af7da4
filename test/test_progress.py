"""The progress bar: it yields what it is given, and knows its end and its place."""

import sys

import pytest

from aio_toolkit.progress import progress


def test_items_come_through_in_their_order():
    assert list(progress("abc", "letters")) == ["a", "b", "c"]


def test_a_bar_knows_how_much_there_is():
    assert progress([1, 2, 3], "numbers").total == 3
    assert progress(iter([1, 2]), "numbers", total=7).total == 7


def test_a_bar_can_be_advanced_by_hand():
    with progress(range(5), "decode") as bar:
        bar.update(3)
        assert (bar.n, bar.total) == (3, 5)


@pytest.mark.parametrize(("is_terminal", "seconds"), [(True, 0.2), (False, 10.0)])
def test_a_log_gets_a_line_now_and_then_and_a_terminal_moves(monkeypatch, is_terminal, seconds):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    assert progress([], "nothing").mininterval == seconds


def test_a_bar_is_no_part_of_the_output(capsys):
    list(progress(range(3), "count", unit="probe"))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "count" in captured.err and "probe" in captured.err
