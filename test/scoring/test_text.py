"""A hypothesis meets the reference of its own task."""

from tiny import ALL

from aio_toolkit.data.datadir import Utterance
from aio_toolkit.scoring.base import Key
from aio_toolkit.scoring.text import TextScorer
from aio_toolkit.tasks import Task

ANSWERS = {"text": "A B C", "text.fr": "le chat dort"}


def scored(task: Task, hypothesis: str) -> dict[Key, list[float]]:
    utterance = Utterance(f"{task.name}-0", task, "s", "x.wav", 9, ANSWERS)
    sums = TextScorer(task, {}, 16000).score(utterance, hypothesis)
    return {key: sums_K.tolist() for key, sums_K in sums.items()}


def test_recognition_meets_the_transcript():
    key = Key("hypothesis", "text", "wer")
    assert scored(ALL["asr"], "A X C") == {key: [3, 0, 0, 1]}


def test_translation_meets_the_translation():
    (numbers,) = scored(ALL["st"], "le chat dort").values()
    assert numbers == [3, 3, 3, 2, 1, 0, 3, 2, 1, 0]


def test_every_metric_of_the_task_scores_the_hypothesis():
    task = Task("asr", "", "text", ("text",), ("wer", "bleu"), ALL["asr"].options)
    found = scored(task, "A B")
    assert [key.metric for key in found] == ["wer", "bleu"]
    wer, bleu = found.values()
    assert wer == [3, 0, 1, 0]
    assert bleu[:3] == [2, 3, 2]


def test_the_floor_is_the_most_frequent_sentence_of_the_training_data():
    train = [
        Utterance(f"asr-{n}", ALL["asr"], "s", "x.wav", 9, {"text": sentence})
        for n, sentence in enumerate(["A B", "C", "A B", "D", "C", "C"])
    ]
    scorer = TextScorer(ALL["asr"], {}, 16000)
    scored_one = Utterance("asr-9", ALL["asr"], "s", "x.wav", 9, ANSWERS)
    assert scorer.bounds(scored_one) == {}
    scorer.fit(train, [])
    assert scorer.bounds_of() == {"floor": "C", "normalise": ["nfc"]}
    (sums_K,) = scorer.bounds(scored_one).values()
    assert sums_K.tolist() == [3, 0, 2, 0]
