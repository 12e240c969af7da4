"""What is asked for, and what an utterance has."""

import pytest
from tiny import ALL

from aio_toolkit.answers.sources import all_sources, present_sources, present_targets
from aio_toolkit.data.datadir import Utterance


def utterance(task: str, *answers: str) -> Utterance:
    return Utterance(f"{task}-0", ALL[task], "s", "mix.wav", 100, dict.fromkeys(answers, "x"))


@pytest.mark.parametrize(
    ("task", "sources"),
    [
        ("sep", ("spk1", "spk2")),
        ("enh", ("speech", "noise")),
        ("sound", ("sound1", "sound2", "sound3")),
    ],
)
def test_an_audio_head_predicts_the_targets_and_the_residual(task, sources):
    assert all_sources(ALL[task]) == sources


def test_targets_come_in_the_order_of_the_task():
    stems = utterance("music", "other", "bass", "vocals", "drums")
    assert present_targets(stems) == ("vocals", "drums", "bass", "other")


def test_an_absent_sound_is_not_present():
    assert present_targets(utterance("sound", "sound1", "sound2")) == ("sound1", "sound2")


def test_a_transcript_beside_the_waves_is_no_target():
    assert present_targets(utterance("enh", "text", "speech")) == ("speech",)


def test_the_residual_is_always_present_and_last():
    assert present_sources(utterance("enh", "text", "speech")) == ("speech", "noise")


def test_without_a_residual_sources_are_targets():
    assert present_sources(utterance("sound", "sound2", "sound1")) == ("sound1", "sound2")
