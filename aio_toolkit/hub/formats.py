"""Words as files that other programs read: text, JSON, subtitles, NIST's CTM."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from aio_toolkit.errors import AioError

# A subtitle is a line of at most so many letters, and ends where nobody speaks for so many seconds.
LONGEST_LINE = 42
PAUSE = 0.6


@dataclass(frozen=True)
class Word:
    """A word and its place in a recording.

    Attributes:
        text: the word.
        start: seconds from the beginning of the recording.
        end: likewise.
    """

    text: str
    start: float
    end: float


class Format(StrEnum):
    """Endings of the files."""

    txt = "txt"
    json = "json"
    srt = "srt"
    vtt = "vtt"
    ctm = "ctm"


def formatted(text: str, score: float, words: Sequence[Word], name: str, format: Format) -> str:
    """The content of a file.

    Args:
        text: the sentence.
        score: its log probability.
        words: when its words are said.
        name: of the recording.
        format: the file's.

    Raises:
        AioError: times are asked for, and there are none.

    >>> words = [Word("hello", 0.5, 1.0)]
    >>> print(formatted("hello", -1.0, words, "a.wav", Format.srt), end="")
    1
    00:00:00,500 --> 00:00:01,000
    hello
    >>> formatted("hello", -1.0, words, "a.wav", Format.ctm)
    'a.wav 1 0.50 0.50 hello\\n'
    """
    if format == Format.txt:
        return text + "\n"
    if format == Format.json:
        content = {"text": text, "score": score, "words": [*map(dataclasses.asdict, words)]}
        return json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    if text and not words:
        problem = f"{name}: this answer has no times, which {format} needs"
        raise AioError(f"{problem}. Choose txt or json.")
    return _TIMED[format](words, name)


def _ctm(words: Sequence[Word], name: str) -> str:
    lines = [f"{name} 1 {w.start:.2f} {w.end - w.start:.2f} {w.text}\n" for w in words]
    return "".join(lines)


def _srt(words: Sequence[Word], name: str) -> str:
    blocks = [
        f"{number}\n{_span(line, ',')}\n{_text(line)}\n"
        for number, line in enumerate(lines_of(words), start=1)
    ]
    return "\n".join(blocks)


def _vtt(words: Sequence[Word], name: str) -> str:
    blocks = [f"{_span(line, '.')}\n{_text(line)}\n" for line in lines_of(words)]
    return "\n".join(["WEBVTT\n", *blocks])


def lines_of(words: Sequence[Word]) -> list[list[Word]]:
    """Words as lines of subtitles."""
    lines: list[list[Word]] = []
    for word in words:
        begins = (
            not lines
            or word.start - lines[-1][-1].end > PAUSE
            or len(_text([*lines[-1], word])) > LONGEST_LINE
        )
        if begins:
            lines.append([])
        lines[-1].append(word)
    return lines


def _text(line: Sequence[Word]) -> str:
    return " ".join(word.text for word in line)


def _span(line: Sequence[Word], point: str) -> str:
    return f"{_clock(line[0].start, point)} --> {_clock(line[-1].end, point)}"


def _clock(seconds: float, point: str) -> str:
    """Hours, minutes, seconds and thousandths."""
    thousandths = round(1000 * seconds)
    minutes, thousandths = divmod(thousandths, 60_000)
    hours, minutes = divmod(minutes, 60)
    whole, thousandths = divmod(thousandths, 1000)
    return f"{hours:02}:{minutes:02}:{whole:02}{point}{thousandths:03}"


_TIMED: dict[Format, Callable[[Sequence[Word], str], str]] = {
    Format.srt: _srt,
    Format.vtt: _vtt,
    Format.ctm: _ctm,
}
