"""Words in the formats of other programs."""

import json

import pytest

from aio_toolkit.errors import AioError
from aio_toolkit.hub.formats import Format, Word, formatted, lines_of

WORDS = [Word("a", 0.25, 0.5), Word("dog", 0.6, 1.0), Word("sits", 3661.5, 3662.0415)]


def written(format: Format, words=WORDS) -> str:
    return formatted("a dog sits", -2.5, words, "talk.wav", format)


def test_text_is_the_sentence():
    assert written(Format.txt) == "a dog sits\n"


def test_json_holds_everything():
    content = json.loads(written(Format.json))
    assert (content["text"], content["score"]) == ("a dog sits", -2.5)
    assert content["words"][1] == {"text": "dog", "start": 0.6, "end": 1.0}


def test_srt_numbers_its_subtitles_and_writes_a_comma():
    assert written(Format.srt) == (
        "1\n00:00:00,250 --> 00:00:01,000\na dog\n\n2\n01:01:01,500 --> 01:01:02,042\nsits\n"
    )


def test_vtt_has_a_header_and_a_point():
    assert written(Format.vtt) == (
        "WEBVTT\n\n00:00:00.250 --> 00:00:01.000\na dog\n\n01:01:01.500 --> 01:01:02.042\nsits\n"
    )


def test_ctm_has_a_line_for_each_word_with_its_length():
    assert written(Format.ctm).splitlines()[1] == "talk.wav 1 0.60 0.40 dog"


def test_a_line_ends_at_a_pause_or_when_it_is_full():
    words = [Word("x" * 20, t, t + 0.9) for t in range(5)]
    assert [len(line) for line in lines_of(words)] == [2, 2, 1]
    paused = [Word("a", 0.0, 0.5), Word("b", 1.0, 1.2), Word("c", 1.9, 2.0)]
    assert [len(line) for line in lines_of(paused)] == [2, 1]


@pytest.mark.parametrize("format", [Format.srt, Format.vtt, Format.ctm])
def test_formats_of_times_are_refused_where_there_are_none(format):
    with pytest.raises(AioError, match=rf"talk.wav: .* no times, which {format} needs"):
        written(format, [])


def test_silence_has_no_subtitles():
    assert formatted("", 0.0, [], "talk.wav", Format.srt) == ""
