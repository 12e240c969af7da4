"""What is averaged over targets and utterances, and what is written of each."""

from pathlib import Path

import numpy as np
import pytest
from tiny import ALL

from aio_toolkit import parts
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.scoring.base import Key, Scorer, Sums
from aio_toolkit.scoring.intervals import mean_interval
from aio_toolkit.scoring.metrics.base import Metric
from aio_toolkit.scoring.results import TaskResult
from aio_toolkit.scoring.summary import ScoredTask, summarize
from aio_toolkit.scoring.utterance_sums import UtteranceSums, sums_file
from aio_toolkit.tasks import Task

SIZE, NAN = 1600, np.nan


def utterance_of(task: str, number: int, *targets: str) -> Utterance:
    files = dict.fromkeys(targets, "none.wav")
    return Utterance(f"{task}-{number}", ALL[task], "s", "none.wav", SIZE, files)


def sums_of(utterance: Utterance, **rows: list[float]) -> Sums:
    """SI-SDR of every output, a number for each target of the utterance."""
    return {
        Key(output, target, "si_sdr"): np.array([score, np.nan if np.isnan(score) else 1.0])
        for output, row in rows.items()
        for target, score in zip(utterance.answers, row, strict=True)
    }


def summary_of(
    folder: Path, task: Task, utterances: list[Utterance], sums: list[Sums]
) -> TaskResult:
    scorer = parts.find(Scorer, task.output)(task, {}, 8000)
    return summarize(ScoredTask(scorer, utterances, sums), folder)


@pytest.fixture
def sound(tmp_path) -> TaskResult:
    """Three mixtures: two sounds, three sounds of which one is silent, two silent sounds."""
    utterances = [
        utterance_of("sound", 0, "sound1", "sound2"),
        utterance_of("sound", 1, "sound1", "sound2", "sound3"),
        utterance_of("sound", 2, "sound1", "sound2"),
    ]
    rows = [
        {"mixture": [1, 2], "masked": [4, 7], "wiener": [3, 4]},
        {"mixture": [0, NAN, -8], "masked": [5, NAN, 1], "wiener": [6, NAN, 2]},
        {"mixture": [NAN, NAN], "masked": [NAN, NAN], "wiener": [NAN, NAN]},
    ]
    pairs = zip(utterances, rows, strict=True)
    sums = [sums_of(utterance, **of_one) for utterance, of_one in pairs]
    return summary_of(tmp_path, ALL["sound"], utterances, sums)


def test_an_utterance_is_the_mean_of_its_audible_references_and_counts_once(sound):
    means = {"mixture": [1.5, -4.0], "masked": [5.5, 3.0], "wiener": [3.5, 4.0]}
    for output, values in means.items():
        interval = sound.find(output)
        assert interval.value == pytest.approx(np.mean(values))
        assert (interval.lo, interval.hi) == (min(values), max(values))
        assert interval.n == 2
    assert sound.num_utterances == 3


def test_silent_references_are_counted(sound):
    assert sound.notes == ["3 silent or short references are not scored."]


def test_every_target_has_its_own_scores(sound):
    found = {
        target: {
            output: sound.find(output, target=target).value
            for output in ("mixture", "masked", "wiener")
        }
        for target in sound.targets
    }
    assert found == {
        "sound1": {"mixture": 0.5, "masked": 4.5, "wiener": 4.5},
        "sound2": {"mixture": 2.0, "masked": 7.0, "wiener": 4.0},
        "sound3": {"mixture": -8.0, "masked": 1.0, "wiener": 2.0},
    }
    counts = [sound.find("masked", target=target).n for target in sound.targets]
    assert counts == [2, 1, 1]
    gains = [sound.find("masked", target=target, over="mixture") for target in sound.targets]
    assert [gain.value for gain in gains] == [4.0, 5.0, 9.0]


def test_scores_of_each_target_are_listed(sound, tmp_path):
    assert sound.metrics["si_sdr"].per_utterance == "sound/scores.si_sdr.tsv"
    assert table_of(tmp_path, sound) == [
        ["utterance", "target", "mixture", "masked", "wiener"],
        ["sound-0", "sound1", "1.000", "4.000", "3.000"],
        ["sound-0", "sound2", "2.000", "7.000", "4.000"],
        ["sound-1", "sound1", "0.000", "5.000", "6.000"],
        ["sound-1", "sound2", "silent or short", "silent or short", "silent or short"],
        ["sound-1", "sound3", "-8.000", "1.000", "2.000"],
        ["sound-2", "sound1", "silent or short", "silent or short", "silent or short"],
        ["sound-2", "sound2", "silent or short", "silent or short", "silent or short"],
    ]


def table_of(folder: Path, result: TaskResult, metric: str = "") -> list[list[str]]:
    info = result.metrics[metric or result.first_metric]
    lines = (folder / info.per_utterance).read_text().splitlines()
    return [line.split("\t") for line in lines]


def test_numbers_for_comparisons_are_those_of_what_ranks_and_what_it_is_compared_with(
    sound, tmp_path
):
    kept = UtteranceSums.read(tmp_path / sums_file("sound", "si_sdr"))
    assert (kept.ids, kept.speakers) == (["sound-0", "sound-1", "sound-2"], ["s"] * 3)
    want = {"masked": [[5.5, 1], [3, 1], [NAN, NAN]], "mixture": [[1.5, 1], [-4, 1], [NAN, NAN]]}
    assert kept.numbers.keys() == want.keys()
    for output, numbers in want.items():
        np.testing.assert_array_equal(kept.numbers[output], numbers)
    assert (sound.ranking, sound.unprocessed) == ("masked", "mixture")


def test_a_target_that_no_utterance_has_is_none(tmp_path):
    utterance = utterance_of("sound", 0, "sound1", "sound2")
    sums = [sums_of(utterance, mixture=[1, 2], masked=[4, 7])]
    result = summary_of(tmp_path, ALL["sound"], [utterance], sums)
    third = result.find("masked", target="sound3")
    assert (third.value, third.n) == (None, 0)


def test_if_nothing_can_be_scored_there_is_no_score(tmp_path):
    utterance = utterance_of("sep", 0, "spk1", "spk2")
    sums = [sums_of(utterance, mixture=[NAN, NAN], masked=[NAN, NAN])]
    result = summary_of(tmp_path, ALL["sep"], [utterance], sums)
    gain = result.find("masked", over="mixture")
    assert result.find("masked").value is None and gain.value is None
    assert result.notes == ["2 silent or short references are not scored."]


def test_gains_are_those_of_each_utterance_over_its_own_mixture(tmp_path):
    """Mixtures differ by 30 dB, gains by little: the interval is that of the gains."""
    mixture_n = np.array([-20.0, 0.0, 10.0, -5.0, 3.0])
    gain_n = np.array([3.0, 3.1, 2.9, 3.2, 3.0])
    utterances = [utterance_of("enh", i, "speech") for i in range(5)]
    sums = [
        sums_of(utterance, mixture=[mixture], masked=[mixture + gain], wiener=[mixture + 1.0])
        for utterance, mixture, gain in zip(utterances, mixture_n, gain_n, strict=True)
    ]
    result = summary_of(tmp_path, ALL["enh"], utterances, sums)
    found, want = result.find("masked", over="mixture"), mean_interval(gain_n)
    assert found.value == pytest.approx(want.value)
    assert (found.lo, found.hi) == pytest.approx((want.lo, want.hi))
    wiener = result.find("wiener", over="mixture")
    assert [wiener.value, wiener.lo, wiener.hi] == pytest.approx([1, 1, 1])


def test_oracles_have_no_gain(tmp_path):
    utterance = utterance_of("enh", 0, "speech")
    sums = [sums_of(utterance, mixture=[0], masked=[1], oracle_masked=[2], ideal_mask=[3])]
    result = summary_of(tmp_path, ALL["enh"], [utterance], sums)
    outputs = [score.output for score in result.scores if not score.over]
    gains = [score.output for score in result.scores if score.over]
    assert outputs == ["mixture", "masked", "oracle_masked", "ideal_mask"]
    assert gains == ["masked"]


def test_a_lone_target_is_not_listed_beside_its_task(tmp_path):
    utterance = utterance_of("enh", 0, "speech")
    result = summary_of(tmp_path, ALL["enh"], [utterance], [sums_of(utterance, masked=[1])])
    assert {score.target for score in result.scores} == {""}


def test_conventions_travel_with_the_scores(sound):
    info = sound.metrics["si_sdr"]
    assert (info.title, info.unit, info.higher_is_better) == ("SI-SDR", "dB", True)
    assert info.conventions == {"floor_db": -50.0, "ceiling_db": 100.0}


# --- text ---

REFERENCES = {
    "text": ["A B C D", "E F", "G H I"],
    "text.fr": ["le chat mange du pain", "oui", "la nuit tombe bien vite"],
}


def summary_of_text(folder: Path, task: Task, hypotheses: list[str]) -> TaskResult:
    """Three utterances whose references both languages have, and hypotheses for them."""
    scorer = parts.find(Scorer, "text")(task, {}, 8000)
    utterances = []
    for number, texts in enumerate(zip(*REFERENCES.values(), strict=True)):
        answers = dict(zip(REFERENCES, texts, strict=True))
        utterances.append(Utterance(f"{task.name}-{number}", task, "s", "x.wav", SIZE, answers))
    pairs = zip(utterances, hypotheses, strict=True)
    sums = [scorer.score(*pair) for pair in pairs]
    return summarize(ScoredTask(scorer, utterances, sums), folder)


def test_recognition_is_scored_by_the_words_of_its_own_transcript(tmp_path):
    result = summary_of_text(tmp_path, ALL["asr"], ["A X C", "E F X", ""])
    info = result.metrics["wer"]
    assert (info.title, info.unit, info.higher_is_better) == ("WER", "%", False)
    assert result.find("hypothesis").value == pytest.approx(100 * (2 + 1 + 3) / 9)
    assert result.notes == ["1 insertions, 4 deletions, 1 substitutions in 9 words."]
    assert table_of(tmp_path, result) == [
        ["utterance", "target", "words", "insertions", "deletions", "substitutions"],
        ["asr-0", "text", "4", "0", "1", "1"],
        ["asr-1", "text", "2", "1", "0", "0"],
        ["asr-2", "text", "3", "0", "3", "0"],
    ]


def test_translation_is_scored_by_its_n_grams(tmp_path):
    hypotheses = ["le chat mange du pain", "", "la nuit tombe vite"]
    result = summary_of_text(tmp_path, ALL["st"], hypotheses)
    assert result.metrics["bleu"].title == "BLEU"
    # The first sentence is right, the third lacks a word: its orders 1 to 4 match 4/4 2/3 1/2 0/1.
    precisions = [(5 + 4) / (5 + 4), (4 + 2) / (4 + 3), (3 + 1) / (3 + 2), (2 + 0) / (2 + 1)]
    brevity = np.exp(1 - 11 / 9)
    want = 100 * brevity * np.exp(np.mean(np.log(precisions)))
    assert result.find("hypothesis").value == pytest.approx(want)
    assert " ".join(table_of(tmp_path, result)[3]) == "st-2 text.fr 4 5 4 2 1 0 4 3 2 1"


# --- several metrics ---


class Level(Metric):
    """Mean level of the answers, of three numbers; silent references have none."""

    kinds = ("audio",)
    title = "level"
    columns = ("sum", "square")
    digits = 1
    unscorable = "silent or short"

    def sums(self, reference, answer) -> np.ndarray:
        raise NotImplementedError

    def value(self, sums_RK: np.ndarray) -> np.ndarray:
        return sums_RK[:, 0] / sums_RK[:, 2]


@pytest.fixture
def both(tmp_path) -> TaskResult:
    """Two mixtures by two metrics; the second one's bass is silent to both."""
    scorer = parts.find(Scorer, "audio")(ALL["sep"], {}, 8000)
    scorer.metrics["level"] = Level(ALL["sep"])
    utterances = [utterance_of("sep", number, "spk1", "spk2") for number in range(2)]
    rows = [[1, 3], [5, NAN]]
    sums = []
    for utterance, row in zip(utterances, rows, strict=True):
        of_one = sums_of(utterance, mixture=row, masked=[value + 2 for value in row])
        for key in list(of_one):
            number = of_one[key][0]
            level = Key(key.output, key.target, "level")
            of_one[level] = np.array([10 * number, number**2, number / number])
        sums.append(of_one)
    return summarize(ScoredTask(scorer, utterances, sums), tmp_path)


def test_every_metric_has_scores_of_its_own(both):
    assert both.find("masked").value == both.find("masked", "si_sdr").value == 5.5
    assert both.find("masked", "level").value == pytest.approx(55)
    assert both.find("masked", "level", over="mixture").value == pytest.approx(20)
    assert both.find("masked", "level", "spk2").value == pytest.approx(50)


def test_every_metric_has_a_table_of_its_own(both, tmp_path):
    assert table_of(tmp_path, both)[0] == ["utterance", "target", "mixture", "masked"]
    assert table_of(tmp_path, both, "level") == [
        ["utterance", "target", "mixture.sum", "mixture.square", "masked.sum", "masked.square"],
        ["sep-0", "spk1", "10.0", "1.0", "30.0", "9.0"],
        ["sep-0", "spk2", "30.0", "9.0", "50.0", "25.0"],
        ["sep-1", "spk1", "50.0", "25.0", "70.0", "49.0"],
        [
            "sep-1",
            "spk2",
            "silent or short",
            "silent or short",
            "silent or short",
            "silent or short",
        ],
    ]


def test_what_two_metrics_say_alike_is_noted_once(both):
    assert both.notes == ["1 silent or short references are not scored."]
