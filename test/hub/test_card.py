"""The card of a model, for people and in the hub's head."""

import dataclasses

import pytest
from huggingface_hub import ModelCard
from tiny import named, tiny_model

from aio_toolkit.errors import AioError
from aio_toolkit.hub.card import About, card_of, commands_of, describe_card, languages, size_of
from aio_toolkit.models.subnetwork import extract
from aio_toolkit.scoring.base import Column
from aio_toolkit.scoring.intervals import Interval
from aio_toolkit.scoring.results import MetricInfo, Results, Score, TaskResult, read_results


@pytest.fixture
def decoded(tmp_path):
    """A decode folder with results of recognition, and the logs beside it."""
    wer = MetricInfo("WER", "%", False, {}, "asr/scores.wer.tsv")
    score = Score("hypothesis", "", "wer", "", Interval(9.514, 8.0, 11.04, n=40))
    columns = [Column("score", "hypothesis")]
    asr = TaskResult("asr", {"wer": wer}, ["text"], columns, "hypothesis", 40, [score], [])
    folder = tmp_path / "exp" / "decode_test"
    Results("data/test", 16000, {"level": 0.95}, ["WER in %."], [asr]).write(folder)
    log = (
        "# 2026-01-01 10:00:00 python old\nsome words\n# 2026-01-02 10:00:00 python decode --x 1\n"
    )
    folder.with_name("decode_test.log").write_text(log)
    folder.with_name("decode_test.score.log").write_text("# 2026-01-02 11:00:00 python score\n")
    return folder


@pytest.fixture
def model(vocabulary):
    return tiny_model(vocabulary, tasks=named("asr", "st", "enh")).eval()


def test_the_head_is_what_the_hub_reads(model, decoded):
    about = About("tiny", "cc-by-4.0", ["LibriSpeech", "ESC-50"], [decoded / "results.json"])
    data = ModelCard(card_of(model, about)).data
    assert data.license == "cc-by-4.0"
    assert data.datasets == ["LibriSpeech", "ESC-50"]
    assert data.language == ["en", "fr"]
    assert data.library_name == "aio_toolkit"
    assert data.tags == ["audio", "asr", "st", "enh"]
    (result,) = data.eval_results
    assert (result.task_type, result.metric_type, result.metric_value) == ("asr", "wer", 9.51)
    assert (result.dataset_name, result.dataset_type) == ("data/test", "test")


def test_people_read_results_with_intervals_and_the_commands_that_made_them(model, decoded):
    text = card_of(model, About("tiny", None, [], [decoded]))
    assert "| asr | WER (%) | 9.5 | 8.0 to 11.0 | 40 | `data/test` | float32 |" in text
    assert "- weights: float32\n" in text
    assert "```bash\npython decode --x 1\npython score\n```" in text
    assert "licence: not told" in text and "training data: not told" in text
    assert "hears 16000 Hz" in text and "| `enh` | speech enhancement | speech |" in text


def test_scores_of_rounded_weights_stand_beside_those_of_whole_ones(model, decoded):
    half = decoded.with_name("decode_half_test")
    whole = read_results(decoded)
    dataclasses.replace(whole, weights="float16").write(half)
    text = card_of(model, About("tiny", None, [], [decoded, half]), half=True)
    row = "| asr | WER (%) | 9.5 | 8.0 to 11.0 | 40 | `data/test` |"
    assert [line for line in text.splitlines() if line.startswith(row)] == [
        f"{row} float32 |",
        f"{row} float16 |",
    ]
    assert "- weights: float16, rounded from float32\n" in text
    data = ModelCard(text).data
    assert [one.metric_name for one in data.eval_results] == ["WER", "WER (float16 weights)"]


def test_without_results_or_logs_nothing_is_said_of_them(model, decoded, tmp_path):
    assert "Results" not in card_of(model, About("tiny"))
    assert ModelCard(card_of(model, About("tiny"))).data.eval_results is None
    for log in decoded.parent.glob("*.log"):
        log.unlink()
    assert commands_of(decoded) == []
    assert "Made in" not in card_of(model, About("tiny", results=[decoded]))


def test_results_that_are_not_there_are_told(model, tmp_path):
    with pytest.raises(AioError, match="results.json does not exist"):
        card_of(model, About("tiny", results=[tmp_path / "results.json"]))


def test_a_card_is_described_in_lines(model, decoded):
    about = About("tiny", "mit", ["mine"], [decoded])
    assert describe_card(card_of(model, about)) == [
        "trained on: mine",
        "results:",
        "  speech recognition, data/test: WER 9.51",
        "licence: mit",
    ]
    assert describe_card(card_of(model, About("tiny"))) == []


@pytest.mark.parametrize("text", ["---\n[1]\n---\n", "---\na: [\n---\n", "no head", ""])
def test_a_card_that_people_broke_does_no_harm(text):
    lines = describe_card(text)
    assert lines == [] or lines[0].startswith("its card cannot be read: ")


def test_languages_are_those_of_answers(vocabulary):
    assert languages(tiny_model(vocabulary, tasks=named("sep", "st"))) == ["fr"]
    assert languages(tiny_model(vocabulary, tasks=named("sep", "enh"))) == []


def test_sizes_are_counted_by_hand(model):
    total = sum(parameter.numel() for parameter in model.parameters())
    size = size_of(model)
    assert size.total == total
    # Two of four experts are idle, two of three gates, and two of three tasks' vectors.
    idle = 2 * sum(vector.numel() for vector in model.backbone.task_embedding[:1])
    for layer in model.backbone.moe_layers().values():
        experts = sum(p.numel() for p in layer.experts.parameters())
        router = sum(p.numel() for p in layer.router.parameters())
        idle += experts // 2 + router * 2 // 3
    assert total - size.active == idle


def test_a_sub_network_is_as_small_as_it_is(model):
    (asr,) = named("asr")
    small = extract(model, asr, dict.fromkeys(model.backbone.moe_layers(), [0, 1]))
    size = size_of(small)
    assert size.total == sum(parameter.numel() for parameter in small.parameters())
    # Both experts that are left are at work.
    assert size.active == size.total
