"""What all scorers have in common."""

import pytest
from tiny import ALL

from aio_toolkit import parts
from aio_toolkit.errors import AioError
from aio_toolkit.scoring.base import Scorer
from aio_toolkit.scoring.metrics.wer import WordErrorRate
from aio_toolkit.tasks import Task


def make(task: Task) -> Scorer:
    return parts.find(Scorer, task.output)(task, {}, 16000)


@pytest.mark.parametrize("name", list(ALL))
def test_a_scorer_has_the_metrics_of_its_task(name):
    task = ALL[name]
    metrics = make(task).metrics
    assert tuple(metrics) == task.metrics
    assert all(metric.task == task for metric in metrics.values())


def test_the_first_metric_stays_first():
    task = Task("asr", "", "text", ("text",), ("wer", "bleu"), ALL["asr"].options)
    first, *_ = make(task).metrics.values()
    assert isinstance(first, WordErrorRate)


def test_a_metric_of_another_kind_of_answer_is_refused():
    task = Task("sep", "", "audio", ("spk1", "spk2"), ("wer",), ALL["sep"].options)
    with pytest.raises(AioError, match="task 'sep': WER scores text, not audio"):
        make(task)


@pytest.mark.parametrize("kind", ["audio", "text"])
def test_titles_of_columns_differ(kind):
    titles = [column.title for column in parts.find(Scorer, kind).columns]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("kind", ["audio", "text"])
def test_gains_are_of_outputs_that_have_a_column_and_over_such(kind):
    columns = parts.find(Scorer, kind).columns
    shown = {column.output for column in columns if not column.over}
    gains = [column for column in columns if column.over]
    assert all({column.output, column.over} <= shown for column in gains)
