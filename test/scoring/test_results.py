"""Results survive their file; what they lack is told."""

import dataclasses
import json

import pytest

from aio_toolkit.errors import AioError
from aio_toolkit.scoring.base import Column
from aio_toolkit.scoring.intervals import Interval
from aio_toolkit.scoring.results import MetricInfo, Results, Score, TaskResult, read_results

COLUMNS = [Column("score", "codec"), Column("gain", "codec", over="mixture")]
METRICS = {
    "si_sdr": MetricInfo("SI-SDR", "dB", True, {"floor_db": -50.0}, "sep/scores.si_sdr.tsv"),
    "level": MetricInfo("level", "", False, {}, "sep/scores.level.tsv"),
}
SCORES = [
    Score("codec", "", "si_sdr", "", Interval(1.0, 0.0, 2.0, 9)),
    Score("codec", "", "si_sdr", "mixture", Interval(3.0, 2.0, 4.0, 9)),
    Score("codec", "spk1", "si_sdr", "", Interval(5.0, 4.0, 6.0, 8)),
    Score("codec", "", "level", "", Interval(None, None, None, 0)),
]
SEP = TaskResult("sep", METRICS, ["spk1", "spk2"], COLUMNS, "codec", 9, SCORES, ["a note"])
RESULTS = Results("data/test", 16000, {"level": 0.95, "seed": 0}, ["SI-SDR in dB."], [SEP])


def test_results_survive_their_file(tmp_path):
    RESULTS.write(tmp_path)
    assert read_results(tmp_path) == RESULTS


def test_a_file_is_as_good_as_its_folder(tmp_path):
    RESULTS.write(tmp_path)
    assert read_results(tmp_path / "results.json") == RESULTS


def test_a_score_is_found_by_what_it_is_of():
    assert SEP.find("codec").value == 1.0
    assert SEP.find("codec", over="mixture").value == 3.0
    assert SEP.find("codec", target="spk1").value == 5.0
    assert SEP.find("codec", "level").n == 0


@pytest.mark.parametrize(
    "place",
    [("wiener",), ("codec", "level", "spk1"), ("codec", "", "spk2"), ("codec", "", "spk1", "wav")],
)
def test_a_score_that_was_not_made_is_none(place):
    assert SEP.find(*place) is None


def test_a_value_is_that_of_the_first_metric():
    assert SEP.value("codec") == 1.0
    assert SEP.value("codec", over="mixture") == 3.0


def test_a_missing_value_is_named_with_its_stage():
    silent = dataclasses.replace(SEP, metrics={"level": METRICS["level"]})
    for result, output in ((SEP, "wiener"), (silent, "codec")):
        with pytest.raises(AioError, match=f"task sep has no score of {output}. Run stage 6"):
            result.value(output)


@pytest.mark.parametrize(
    "content",
    [
        {"other": 1},
        [1],
        {"tasks": {"asr": {"metric": "WER", "score": 1}}, "data": "data/test"},  # as it once was
        {"tasks": [], "data": "data/test"},
        {"tasks": [{"name": "asr"}], "data": "data/test"},
    ],
)
def test_a_file_of_another_version_is_named(tmp_path, content):
    (tmp_path / "results.json").write_text(json.dumps(content))
    message = "results.json is not a results file of stage 6. Run stage 6"
    with pytest.raises(AioError, match=message):
        read_results(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(AioError, match="does not exist"):
        read_results(tmp_path / "exp")
