"""The table of a ceiling made by hand, and its files."""

import pytest
from markdown import cells_of

from aio_toolkit.analysis.ceiling_report import (
    CeilingResults,
    CodebookUse,
    Quality,
    format_ceiling,
    write_ceiling,
)
from aio_toolkit.files import read_json
from aio_toolkit.masks import WienerFilter
from aio_toolkit.scoring.intervals import Interval


def interval(value: float) -> Interval:
    return Interval(value, value - 1, value + 2, 9)


@pytest.fixture
def results() -> CeilingResults:
    rows = {
        "mixture": Quality(interval(1.0), interval(0.125)),
        "masks": Quality(interval(7.0), interval(0.5)),
    }
    use = CodebookUse(entropy=[0.5, 0.75], used=[0.9, 1.0])
    tasks = {"sep": rows, "enh": rows}
    return CeilingResults("exp/codec", "data/test", WienerFilter.Config(power=1.0), tasks, use)


def test_the_table_has_two_columns_a_task_and_the_use_of_codebooks_below(results):
    text = format_ceiling(results)
    header, *cells = cells_of(text)
    assert header == ["estimates", "sep dB", "mel", "enh dB", "mel"]
    assert cells == [
        ["mixture", *["1.0 [0.0, 3.0]", "0.125"] * 2],
        ["masks", *["7.0 [6.0, 9.0]", "0.500"] * 2],
    ]
    use = "62.5 % of the possible entropy, the least of them 50.0 %; 95.0 % of their codes occur."
    assert f"Codebooks: {use}" in text


def test_a_task_of_which_nothing_could_be_scored_shows_dashes(results):
    nothing = Interval(None, None, None, 0)
    results.tasks["enh"] = dict.fromkeys(results.tasks["sep"], Quality(nothing, nothing))
    (_, *rows) = cells_of(format_ceiling(results))
    assert [row[3:] for row in rows] == [["-", "-"], ["-", "-"]]


def test_the_table_is_written_below_what_it_is_about(results, tmp_path):
    table = write_ceiling(results, tmp_path)
    text = (tmp_path / "CEILING.md").read_text()
    assert text == f"# exp/codec on data/test\n\n{table}"


def test_all_numbers_are_written_for_machines(results, tmp_path):
    write_ceiling(results, tmp_path)
    content = read_json(tmp_path / "ceiling.json")
    mel = {"value": 0.5, "lo": -0.5, "hi": 2.5, "n": 9}
    assert content["tasks"]["enh"]["masks"]["mel"] == mel
    assert content["codebooks"] == {"entropy": [0.5, 0.75], "used": [0.9, 1.0]}
    assert content["masks"] == {"window": 512, "power": 1.0, "detail": 0.0}
