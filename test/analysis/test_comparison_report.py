"""The table of a comparison, cell by cell."""

import numpy as np
import pytest
from kept_runs import write_run
from tiny import ALL

from aio_toolkit.analysis.comparison_report import format_comparison, write_comparison
from aio_toolkit.analysis.kept_run import KeptRun
from aio_toolkit.models.cost import Cost


@pytest.fixture
def make(tmp_path):
    """A function that writes runs of a system: an error level and a gain of each."""

    def write(name: str, *levels: tuple[float, float], minutes: float | None = None):
        rng = np.random.default_rng(len(name))
        runs = []
        for seed, (errors, gain) in enumerate(levels):
            folder = tmp_path / name / str(seed)
            noise_n = 0.1 * rng.standard_normal(12)
            write_run(folder, errors + noise_n - noise_n.mean(), np.full(10, gain))
            if minutes is not None:
                cost = Cost(100 + seed, 60 * (minutes + seed), 5400.0, 8_840_000, 4_110_000)
                cost.write(folder)
            runs.append(KeptRun.read(folder))
        return runs

    return write


def rows_of(text: str) -> dict[str, dict[str, str]]:
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    header, _, *rows = [[cell.strip() for cell in line] for line in lines]
    return {row[0]: dict(zip(header, row, strict=True)) for row in rows}


def test_a_row_has_costs_and_every_task(make):
    systems = {
        "demo": make("demo", (2, 3.0), (2, 3.0), (2, 3.0), minutes=9.0),
        "dense": make("dense", (4, 3.0), (4, 3.0), (4, 3.0)),
    }
    rows = rows_of(format_comparison(systems, ALL))
    costs = {
        "seeds": "3",
        "steps": "101",
        "audio h": "1.5",
        "minutes": "10.0",
        "parameters M": "8.8",
        "active M": "4.1",
    }
    assert costs.items() <= rows["demo"].items()
    assert rows["demo"]["asr WER"].startswith("20.0 [19.") and rows["demo"]["asr WER"].endswith("]")
    assert rows["dense"]["asr WER"].startswith("40.0 (+20.00 [19.")
    assert rows["dense"]["asr WER"].endswith("], worse)")
    assert rows["dense"]["sep gain dB"] == "3.0 (+0.00 [0.00, 0.00], no evidence)"
    assert {rows["dense"][title] for title in costs if title != "seeds"} == {"-"}


def test_columns_are_those_of_costs_and_tasks_and_line_up(make):
    table = format_comparison({"demo": make("demo", (2, 3.0))}, ALL).split("\n\n")[0]
    titles = "system seeds steps audio h minutes parameters M active M asr WER sep gain dB"
    assert " ".join(rows_of(table)["demo"]) == titles
    assert len({len(line) for line in table.splitlines()}) == 1


def test_of_single_runs_the_difference_is_a_number_alone(make):
    systems = {"demo": make("demo", (2, 3.0)), "less": make("less", (1, 3.0))}
    rows = rows_of(format_comparison(systems, ALL))
    assert rows["less"]["asr WER"] == "10.0 (-10.00)"
    assert rows["demo"]["sep gain dB"] == "3.0 [3.0, 3.0]"


def test_where_the_first_system_is_not_there_yet_the_others_stand_alone(make):
    rows = rows_of(format_comparison({"demo": [], "other": make("other", (2, 3.0))}, ALL))
    assert rows["demo"] == dict.fromkeys(rows["demo"], "-") | {"system": "demo", "seeds": "0"}
    assert rows["other"]["sep gain dB"] == "3.0 [3.0, 3.0]"


def test_the_table_says_how_to_read_it(make):
    text = format_comparison({"demo": make("demo", (2, 3.0))}, ALL)
    legend = text.partition("\n\n")[2]
    assert legend.startswith("WER in %, lower is better.\nSI-SDR in dB, higher is better.\n")
    assert "It takes 2 seeds of both systems for worse, 3 for better." in legend


def test_it_is_written_under_a_heading(tmp_path):
    write_comparison(tmp_path / "results" / "list", "list on dev", "| table |\n")
    written = (tmp_path / "results" / "list" / "RESULTS.md").read_text()
    assert written == "# list on dev\n\n| table |\n"
