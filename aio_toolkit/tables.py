"""Tables for people: Markdown that also lines up as plain text."""

from collections.abc import Sequence
from typing import Protocol

# What a cell shows where there is no number.
NOTHING = "-"


class HasInterval(Protocol):
    """A score with its interval; None where nothing could be scored."""

    @property
    def value(self) -> float | None:
        """The score."""

    @property
    def lo(self) -> float | None:
        """Lower end of its interval."""

    @property
    def hi(self) -> float | None:
        """Upper end of its interval."""


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table: the first column to the left, the rest to the right.

    Args:
        header: titles of the columns.
        rows: cells, as many a row as there are titles.

    >>> print(markdown_table(["task", "WER"], [["asr", "9.5"]]), end="")
    | task | WER |
    | ---- | --: |
    | asr  | 9.5 |
    """
    widths = []
    for column in zip(header, *rows, strict=True):
        longest = max(len(cell) for cell in column)
        # A column's rule is a colon and one dash at least.
        widths.append(max(2, longest))
    first, *others = widths
    rule = ["-" * first]
    for width in others:
        dashes = "-" * (width - 1)
        rule.append(f"{dashes}:")

    lines = [_line(cells, widths) for cells in (header, rule, *rows)]
    return "".join(lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = []
    for place, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        padded.append(cell.rjust(width) if place else cell.ljust(width))
    content = " | ".join(padded)
    return f"| {content} |\n"


def interval_cell(interval: HasInterval | None) -> str:
    """A score and its interval, to one decimal; a dash where there is none.

    >>> from aio_toolkit.scoring.intervals import Interval
    >>> interval_cell(Interval(12.34, 11.0, 14.26, n=7)), interval_cell(None)
    ('12.3 [11.0, 14.3]', '-')
    """
    if interval is None or interval.value is None:
        return NOTHING
    value = decimal(interval.value)
    lo, hi = decimal(interval.lo), decimal(interval.hi)
    return f"{value} [{lo}, {hi}]"


def value_cell(interval: HasInterval | None) -> str:
    """A score without its interval, to one decimal; a dash where there is none.

    >>> from aio_toolkit.scoring.intervals import Interval
    >>> value_cell(Interval(12.34, 11.0, 14.26, n=7)), value_cell(None)
    ('12.3', '-')
    """
    if interval is None:
        return NOTHING
    return decimal(interval.value)


def decimal(value: float | None, digits: int = 1) -> str:
    """A number to some decimals, without a minus zero; a dash for None.

    >>> decimal(-0.04), decimal(0.5, digits=3), decimal(None)
    ('0.0', '0.500', '-')
    """
    if value is None:
        return NOTHING
    # Adding zero turns -0.0 into 0.0.
    rounded = round(value, digits) + 0.0
    return f"{rounded:.{digits}f}"
