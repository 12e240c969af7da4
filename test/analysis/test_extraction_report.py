"""The arithmetic of the table of sub-networks."""

import dataclasses
from pathlib import Path

import pytest
from markdown import cells_of

from aio_toolkit.analysis.extraction_report import HEADER, Measured, Row, write_extraction
from aio_toolkit.errors import AioError
from aio_toolkit.scoring.base import Column
from aio_toolkit.scoring.intervals import Interval
from aio_toolkit.scoring.results import MetricInfo, Score, TaskResult

WER, BLEU, SI_SDR = False, True, True


def row_of(measured: Measured, **changed) -> Row:
    """A row of the table."""
    row = Row(
        task="asr",
        budget="4",
        experts=4,
        share=0.2549,
        num_bytes=1_260_000,
        speed=1.236,
        measured=measured,
    )
    return dataclasses.replace(row, **changed)


# --- one row ---


def test_a_row_tells_experts_share_size_and_speed():
    row = row_of(Measured(30.0, BLEU)).cells(Measured(40.0, BLEU))
    assert row == ["asr", "4", "4", "25.5 %", "1.3", "1.24", "30.00", "+25.0"]


@pytest.mark.parametrize(
    ("higher_is_better", "whole", "score", "loss"),
    [
        (WER, 20.0, 25.0, "+25.0"),  # more errors are a loss
        (WER, 20.0, 15.0, "-25.0"),
        (BLEU, 40.0, 30.0, "+25.0"),  # a lower score is one
        (BLEU, 40.0, 44.0, "-10.0"),
        (SI_SDR, 8.0, 6.0, "+25.0"),
        (SI_SDR, -2.0, -3.0, "+50.0"),  # in per cent of the distance to zero
        (SI_SDR, -2.0, -1.0, "-50.0"),
        (WER, 20.0, 20.0, "+0.0"),
        (BLEU, 40.0, 40.001, "+0.0"),
        (WER, 0.0, 5.0, "-"),  # nothing to be a share of
    ],
)
def test_the_loss_is_what_gets_worse_in_per_cent_of_the_whole_model_s(
    higher_is_better, whole, score, loss
):
    row = row_of(Measured(score, higher_is_better))
    assert row.cells(Measured(whole, higher_is_better))[-1] == loss


# --- what is shown of results ---


def result_of(
    columns: list[Column], values: dict[tuple[str, str], float | None], higher_is_better: bool
) -> TaskResult:
    """Results by one metric: `values` by output and what it is compared with."""
    info = MetricInfo("M", "", higher_is_better, {}, "asr/scores.m.tsv")
    scores = []
    for (output, over), value in values.items():
        interval = Interval(value, value, value, n=3)
        scores.append(Score(output, "", "m", over, interval))
    return TaskResult("asr", {"m": info}, ["text"], columns, columns[0].output, 3, scores, [])


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_text_is_measured_by_its_score(higher_is_better):
    columns = [Column("score", "hypothesis")]
    result = result_of(columns, {("hypothesis", ""): 9.5}, higher_is_better)
    assert Measured.of(result) == Measured(9.5, higher_is_better)


AUDIO = [
    Column("score", "codec"),
    Column("wiener", "wiener"),
    Column("mixture", "mixture"),
    Column("gain", "codec", over="mixture"),
    Column("wiener gain", "wiener", over="mixture"),
]
OUTPUTS = {
    ("codec", ""): -9.0,
    ("wiener", ""): 3.0,
    ("mixture", ""): 1.0,
    ("codec", "mixture"): -10.0,
}


def test_audio_is_measured_by_the_gain_of_the_output_that_ranks_it():
    result = result_of(AUDIO, OUTPUTS | {("wiener", "mixture"): 2.0}, higher_is_better=True)
    assert Measured.of(result).score == -10.0


def test_where_nothing_is_a_gain_the_model_s_answer_counts():
    columns = [Column("score", "tags"), Column("prior", "prior")]
    values = {("tags", ""): 60.0, ("prior", ""): 50.0}
    assert Measured.of(result_of(columns, values, higher_is_better=True)).score == 60.0


def test_a_task_without_a_score_is_an_error():
    result = result_of([Column("score", "hypothesis")], {("hypothesis", ""): None}, WER)
    with pytest.raises(AioError, match="task asr has no score of hypothesis"):
        Measured.of(result)


# --- the table ---


def test_each_task_is_compared_with_its_own_whole_model(tmp_path):
    rows = [
        row_of(Measured(20.0, WER), budget="whole"),
        row_of(Measured(25.0, WER)),
        row_of(Measured(8.0, SI_SDR), task="sep", budget="whole"),
        row_of(Measured(4.0, SI_SDR), task="sep"),
    ]
    header, *cells = cells_of(write_extraction(rows, Path("data/test"), tmp_path))
    assert header == HEADER
    assert [(row[0], row[1], row[-1]) for row in cells] == [
        ("asr", "whole", "+0.0"),
        ("asr", "4", "+25.0"),
        ("sep", "whole", "+0.0"),
        ("sep", "4", "+50.0"),
    ]


def test_the_table_is_written_below_the_data_dir_it_is_about(tmp_path):
    table = write_extraction([row_of(Measured(20.0, WER))], Path("data/test"), tmp_path)
    text = (tmp_path / "EXTRACTION.md").read_text()
    assert text.startswith(f"# Sub-networks on data/test\n\n{table}\n")
