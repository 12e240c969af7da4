"""What all kinds of answer share."""

from pathlib import Path

from tiny import ALL, named

from aio_toolkit.answers import base
from aio_toolkit.answers.audio import Audio, CodecUnits
from aio_toolkit.answers.text import Text, TextUnits


def test_units_are_read_from_the_folder_of_their_kind(units):
    found = base.load_units(units, named("asr", "sep"))
    assert isinstance(found["text"], TextUnits)
    assert isinstance(found["audio"], CodecUnits)


def test_only_units_that_the_tasks_need_are_read(units):
    assert list(base.load_units(units, named("st"))) == ["text"]


def test_tasks_of_one_kind_share_units_that_are_read_once(monkeypatch):
    folders: list[Path] = []
    monkeypatch.setattr(Text, "load_units", lambda self, folder: folders.append(folder))
    base.load_units(Path("units"), named("asr", "st"))
    assert folders == [Path("units/text")]


def test_a_kind_asks_for_all_targets_unless_it_says_otherwise():
    assert Text().required(ALL["st"]) == ("text.fr",)


def test_only_audio_can_be_cut_and_has_waves():
    assert (Audio.can_be_cut, Text.can_be_cut) == (True, False)
    assert Text().waves(None, 8000) == {}
