"""Fields that hold parts."""

import dataclasses

from aio_toolkit.choice import Choice, each_of, one_of


@dataclasses.dataclass
class Config:
    encoder: Choice = one_of("encoders", "transformer")
    decoders: dict = each_of("decoding")
    units: dict = each_of("answers", nested="Fit")


def test_a_choice_is_by_default_the_named_kind_with_its_defaults():
    assert Config().encoder == Choice("transformer", None)


def test_the_options_of_every_part_are_by_default_left_to_the_parts():
    assert Config().decoders == Config().units == {}


def test_defaults_are_not_shared():
    Config().encoder.kind = "conformer"
    Config().decoders["text"] = 3
    assert Config() == Config(Choice("transformer"), {}, {})


def test_fields_know_their_folder():
    of_field = {f.name: dict(f.metadata) for f in dataclasses.fields(Config)}
    assert of_field == {
        "encoder": {"one_of": "encoders"},
        "decoders": {"each_of": "decoding", "nested": "Config"},
        "units": {"each_of": "answers", "nested": "Fit"},
    }
