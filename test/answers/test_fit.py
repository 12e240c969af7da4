"""Stage 2 asks every kind of answer that the data have."""

from pathlib import Path
from typing import Any

import pytest
from tiny import ALL, utterance

from aio_toolkit.answers.audio import Audio
from aio_toolkit.answers.fit import UnitsFit, fit_units
from aio_toolkit.answers.text import Text
from aio_toolkit.config import load_config
from aio_toolkit.data.datadir import Utterance, write_data_dir
from aio_toolkit.errors import AioError


@pytest.fixture
def asked(monkeypatch) -> dict[str, dict[str, Any]]:
    """What each kind was asked to fit, by the folder's name."""
    calls = {}

    def fit(self, tasks, utterances, options, folder) -> None:
        calls[folder.name] = {
            "tasks": [task.name for task in tasks],
            "ids": [u.id for u in utterances],
            "options": options,
            "folder": folder,
        }

    for kind in (Audio, Text):
        monkeypatch.setattr(kind, "fit", fit)
    return calls


def fit(folder: Path, utterances: list[Utterance], *overrides: str) -> None:
    write_data_dir(folder / "data", utterances, ALL)
    config = load_config(UnitsFit.Config, None, overrides)
    fit_units(config, folder / "data", ALL, folder / "units")


def test_each_kind_gets_its_utterances_and_all_of_its_tasks(asked, tmp_path):
    made = [utterance(task, f"{task}-0", 9) for task in ("asr", "sep", "st")]
    fit(tmp_path, made)
    assert asked["text"]["ids"] == ["asr-0", "st-0"]
    assert asked["text"]["tasks"] == ["asr", "st"]
    assert asked["audio"]["ids"] == ["sep-0"]
    assert asked["audio"]["tasks"] == ["sep", "enh", "sound", "music"]
    assert asked["audio"]["folder"] == tmp_path / "units" / "audio"


def test_a_transcript_of_a_mixture_is_text_too(asked, tmp_path):
    plain = utterance("enh", "enh-0", 9)
    answers = plain.answers | {"text": "red cat"}
    mixture = Utterance(plain.id, plain.task, "s", plain.wav, plain.num_samples, answers)
    fit(tmp_path, [mixture])
    assert asked["text"]["ids"] == asked["audio"]["ids"] == ["enh-0"]


def test_a_kind_that_the_data_lack_is_not_asked(asked, tmp_path):
    fit(tmp_path, [utterance("asr", "asr-0", 9)])
    assert list(asked) == ["text"]


def test_each_kind_gets_its_options(asked, tmp_path):
    made = [utterance(task, f"{task}-0", 9) for task in ("asr", "sep")]
    fit(tmp_path, made, "units.text.vocab_size=40", "units.audio.codec=mine")
    assert asked["text"]["options"] == Text.Fit(vocab_size=40)
    assert asked["audio"]["options"] == Audio.Fit(codec="mine")


def test_an_unknown_option_is_named(tmp_path):
    with pytest.raises(AioError, match="Did you mean 'units.text.vocab_size'"):
        load_config(UnitsFit.Config, None, ["units.text.vocab_sise=40"])
