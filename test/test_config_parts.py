"""Configurations that hold parts: kinds by name, and a section of options for each of them."""

import dataclasses
import enum
from dataclasses import dataclass, field

import pytest
from foreign import PACKAGES, in_use

from aio_toolkit.config import (
    Choice,
    each_of,
    from_values,
    load_config,
    one_of,
    save_config,
    to_dict,
)
from aio_toolkit.encoders.conformer import ConformerEncoder
from aio_toolkit.encoders.transformer import TransformerEncoder
from aio_toolkit.errors import AioError
from aio_toolkit.moe.experts.feed_forward import Activation


@dataclass
class Inner:
    encoder: Choice = one_of("encoders", "transformer")
    experts: Choice = one_of("moe/experts", "feed_forward")


@dataclass
class Config:
    model: Inner = field(default_factory=Inner)
    decoders: dict = each_of("decoding")
    units: dict = each_of("answers", nested="Fit")


@pytest.fixture
def yaml(tmp_path):
    def write(content: str):
        path = tmp_path / "train.yaml"
        path.write_text(content, encoding="utf-8")
        return path

    return write


def test_without_a_file_the_default_kind_has_its_defaults():
    config = load_config(Config, None)
    assert config.model.encoder == Choice("transformer", TransformerEncoder.Config())


def test_the_chosen_kind_has_the_options_of_its_own_section(yaml):
    path = yaml(
        "model:\n"
        "  encoder:\n"
        "    kind: conformer\n"
        "    conformer: {width: 64}\n"
        "    transformer: {width: 32, num_layers: 5}\n"
    )
    encoder = load_config(Config, path).model.encoder
    assert encoder == Choice("conformer", ConformerEncoder.Config(width=64))


def test_options_that_a_base_gives_to_a_kind_wait_until_it_is_chosen(yaml, tmp_path):
    (tmp_path / "base.yaml").write_text("model: {encoder: {conformer: {width: 64}}}\n")
    path = yaml("base: base.yaml\n")
    assert load_config(Config, path).model.encoder.kind == "transformer"
    chosen = load_config(Config, path, ["model.encoder.kind=conformer"]).model.encoder
    assert chosen.options.width == 64


def test_every_part_of_a_folder_has_its_options():
    config = load_config(Config, None, ["decoders.text.beam_size=3", "units.text.vocab_size=77"])
    assert config.decoders.keys() >= {"text", "audio"}
    assert config.decoders["text"].beam_size == 3
    assert config.units["text"].vocab_size == 77


def test_options_are_instances_of_the_real_classes():
    overrides = ["model.experts.feed_forward.activation=swiglu"]
    options = load_config(Config, None, overrides).model.experts.options
    # The class that was read from source would be another one.
    assert options.activation is Activation.swiglu
    assert isinstance(options.activation, enum.StrEnum)


@pytest.mark.parametrize("kind", ["mamba", "transformr"])
def test_an_unknown_kind_names_file_key_and_the_nearest(yaml, kind):
    path = yaml(f"model: {{encoder: {{kind: {kind}}}}}\n")
    message = f"train.yaml: key 'model.encoder.kind': encoders: unknown kind '{kind}'"
    with pytest.raises(AioError, match=message) as caught:
        load_config(Config, path)
    assert ("Did you mean 'transformer'?" in str(caught.value)) == (kind == "transformr")


def test_an_unknown_kind_with_a_section_of_its_own_is_told_as_a_kind(yaml):
    path = yaml("model: {encoder: {kind: mamba, mamba: {width: 3}}}\n")
    with pytest.raises(AioError, match="key 'model.encoder.kind': encoders: unknown kind 'mamba'"):
        load_config(Config, path)


def test_an_unknown_kind_of_an_override_names_the_override():
    message = "override 'model.encoder.kind=mamba': key 'model.encoder.kind': encoders: unknown"
    with pytest.raises(AioError, match=message):
        load_config(Config, None, ["model.encoder.kind=mamba"])


def test_an_unknown_kind_behind_a_reference_is_told_too(yaml):
    path = yaml("model: {encoder: {kind: '${model.experts.kind}'}}\n")
    with pytest.raises(AioError, match="encoders: unknown kind 'feed_forward'"):
        load_config(Config, path)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("conformer: {widht: 3}", "unknown key 'model.encoder.conformer.widht'. Did you mean"),
        ("conformer: {width: wide}", "key 'model.encoder.conformer.width': Value 'wide'"),
        ("conformer: 3", "key 'model.encoder.conformer' is a section of keys"),
        ("mamba: {width: 3}", "unknown key 'model.encoder.mamba'. Known keys here: kind,"),
    ],
)
def test_options_of_kinds_that_are_not_chosen_are_checked_too(yaml, section, message):
    path = yaml(f"model: {{encoder: {{kind: transformer, {section}}}}}\n")
    with pytest.raises(AioError, match=message):
        load_config(Config, path)


def test_what_is_saved_holds_the_chosen_kind_alone_and_is_read_back(tmp_path):
    config = load_config(Config, None, ["model.encoder.kind=conformer"])
    values = to_dict(config)
    assert values["model"]["encoder"].keys() == {"kind", "conformer"}
    save_config(config, tmp_path / "config.yaml")
    assert load_config(Config, tmp_path / "config.yaml") == config
    assert from_values(Config, values, "a checkpoint") == config


def test_a_package_of_parts_is_named_in_the_file(yaml):
    path = yaml("parts: [newcomers]\nmodel: {encoder: {kind: pooled, pooled: {share: 0.25}}}\n")
    with in_use():
        encoder = load_config(Config, path).model.encoder
    assert (encoder.kind, encoder.options.share) == ("pooled", 0.25)
    assert type(encoder.options).__module__ == "newcomers.encoders.pooled"


def test_a_package_that_a_base_names_is_used(yaml, tmp_path):
    (tmp_path / "base.yaml").write_text("parts: [newcomers]\n")
    with in_use():
        path = yaml("base: base.yaml\nmodel: {encoder: {kind: pooled}}\n")
        assert load_config(Config, path).model.encoder.options.share == 0.5


def test_a_part_of_a_package_that_is_not_in_use_is_unknown():
    assert (PACKAGES / "newcomers" / "encoders" / "pooled.py").is_file()
    with pytest.raises(AioError, match="unknown kind 'pooled'"):
        load_config(Config, None, ["model.encoder.kind=pooled"])


def test_a_package_that_is_not_there_is_named(yaml):
    with pytest.raises(AioError, match="parts: there is no package 'nobodys' on PYTHONPATH"):
        load_config(Config, yaml("parts: [nobodys]\n"))


def test_an_instance_can_be_changed_like_any_dataclass():
    config = load_config(Config, None)
    changed = dataclasses.replace(config, model=Inner(Choice("conformer")))
    assert changed.model.encoder == Choice("conformer")
