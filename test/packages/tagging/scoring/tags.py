"""Scores of tags."""

from typing import override

from aio_toolkit.data.datadir import Utterance
from aio_toolkit.scoring.base import Column, Key, Scorer, Sums


class TagScorer(Scorer):
    """Every metric of the task on the tags given."""

    outputs = ("tags",)
    columns = (Column("score", "tags"),)
    legend = "F1 in %, higher is better."

    @override
    def score(self, utterance: Utterance, answer: list[str]) -> Sums:
        reference = utterance.answers["tags"].split()
        return {
            Key("tags", "tags", name): metric.sums(reference, answer)
            for name, metric in self.metrics.items()
        }
