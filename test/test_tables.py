"""Tables, cell by cell."""

import pytest

from aio_toolkit.scoring.intervals import Interval
from aio_toolkit.tables import decimal, interval_cell, markdown_table, value_cell


def test_columns_of_a_table_align():
    table = markdown_table(["a", "long"], [["xyz", "1"]])
    assert table == "| a   | long |\n| --- | ---: |\n| xyz |    1 |\n"


def test_a_column_of_single_letters_has_room_for_its_rule():
    assert markdown_table(["a", "b"], [["x", "1"]]) == "| a  |  b |\n| -- | -: |\n| x  |  1 |\n"


def test_a_table_without_rows_is_its_header():
    assert markdown_table(["task", "WER"], []) == "| task | WER |\n| ---- | --: |\n"


def test_a_row_of_another_length_is_a_bug():
    with pytest.raises(ValueError, match="zip"):
        markdown_table(["a", "b"], [["1"]])


@pytest.mark.parametrize(
    ("value", "cell"), [(-0.04, "0.0"), (-0.06, "-0.1"), (99.96, "100.0"), (3, "3.0"), (None, "-")]
)
def test_numbers_are_rounded_to_one_decimal_without_a_minus_zero(value, cell):
    assert decimal(value) == cell


def test_numbers_have_as_many_decimals_as_asked_for():
    assert decimal(2.0, digits=3) == "2.000"
    assert decimal(-0.0004, digits=3) == "0.000"


@pytest.mark.parametrize("cell", [interval_cell, value_cell])
@pytest.mark.parametrize("nothing", [None, Interval(None, None, None, 0)])
def test_what_could_not_be_scored_is_a_dash(cell, nothing):
    assert cell(nothing) == "-"


def test_an_interval_is_shown_where_it_is_asked_for():
    interval = Interval(12.34, -0.04, 14.26, n=9)
    assert interval_cell(interval) == "12.3 [0.0, 14.3]"
    assert value_cell(interval) == "12.3"
