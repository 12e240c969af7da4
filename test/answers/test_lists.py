"""Lists of answers: what is read, and what is said where something is missing."""

import pytest

from aio_toolkit.answers.lists import (
    check_complete,
    is_whole_text,
    read_list,
    write_list,
    write_text,
)
from aio_toolkit.errors import AioError


def test_lines_are_read_in_any_order_and_may_lack_a_value(tmp_path):
    path = tmp_path / "text"
    path.write_text("b  two words \n\na\n")
    assert read_list(path) == {"b": "two words", "a": ""}


def test_a_list_is_written_in_its_order_without_trailing_blanks(tmp_path):
    write_list(tmp_path / "text", {"b": "two words", "a": ""})
    assert (tmp_path / "text").read_text() == "b two words\na\n"


def test_a_text_ends_with_a_line_feed_in_a_folder_that_is_made(tmp_path):
    write_text(tmp_path / "new/a.txt", "été")
    assert (tmp_path / "new/a.txt").read_bytes() == "été\n".encode()


def test_a_missing_file_is_named_with_its_stage(tmp_path):
    with pytest.raises(AioError, match="text does not exist. Run stage 5"):
        read_list(tmp_path / "text")


def test_text_in_another_encoding_is_named_with_its_byte(tmp_path):
    (tmp_path / "text").write_bytes("asr-0 caf\u00e9\n".encode("latin1"))
    with pytest.raises(AioError, match="text is not UTF-8 .* at byte 9"):
        read_list(tmp_path / "text")


def test_a_list_that_is_cut_off_is_told(tmp_path):
    write_list(tmp_path / "text", {"asr-0": "good morning"})
    content = (tmp_path / "text").read_bytes()
    (tmp_path / "text").write_bytes(content[:-4])
    with pytest.raises(AioError, match=r"text is cut off\. Run stage 5"):
        read_list(tmp_path / "text")


@pytest.mark.parametrize("odd", ["\u0085", "\u2028", "\x0b", "\x1c"])
def test_a_sentence_with_an_odd_end_of_line_is_one_sentence(tmp_path, odd):
    write_list(tmp_path / "text", {"asr-0": f"good{odd}morning", "asr-1": "x"})
    assert read_list(tmp_path / "text") == {"asr-0": f"good{odd}morning", "asr-1": "x"}


@pytest.mark.parametrize("content", [b"", b"half a sen", b"\xd7\xff\n"])
def test_a_text_that_is_not_whole_is_known(tmp_path, content):
    write_text(tmp_path / "a.txt", "")
    assert is_whole_text(tmp_path / "a.txt")
    (tmp_path / "a.txt").write_bytes(content)
    assert not is_whole_text(tmp_path / "a.txt")


def test_missing_utterances_are_listed_up_to_ten_in_order(tmp_path):
    lacking = [f"asr-{i:02}" for i in range(12, 0, -1)]
    ids = ", ".join(f"asr-{i:02}" for i in range(1, 11))
    message = f"text lacks 12 utterances of the data dir: {ids} and 2 more. Finish stage 5"
    with pytest.raises(AioError, match=message):
        check_complete(tmp_path / "text", lacking)


def test_nothing_is_said_of_a_complete_list(tmp_path):
    check_complete(tmp_path / "text", [])
