"""What all metrics have in common."""

import pytest
from tiny import ALL

from aio_toolkit import parts
from aio_toolkit.errors import AioError
from aio_toolkit.scoring.metrics.base import Metric


@pytest.mark.parametrize(("name", "task"), [("wer", "sep"), ("bleu", "enh"), ("si_sdr", "asr")])
def test_a_metric_of_another_kind_of_answer_is_refused(name, task):
    metric = parts.find(Metric, name)
    message = f"task '{task}': {metric.title} scores .*, not .*. Change the task's metrics"
    with pytest.raises(AioError, match=message):
        metric(ALL[task])


@pytest.mark.parametrize(
    ("name", "task", "direction"),
    [
        ("wer", "asr", "WER in %, lower is better."),
        ("bleu", "st", "BLEU, higher is better."),
        ("si_sdr", "sep", "SI-SDR in dB, higher is better."),
    ],
)
def test_a_metric_says_how_to_read_it(name, task, direction):
    assert parts.find(Metric, name)(ALL[task]).direction == direction
