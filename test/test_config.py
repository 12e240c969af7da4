"""Configurations: what is right is read, what is wrong is named."""

import enum
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from omegaconf import MISSING

from aio_toolkit.config import (
    check_config,
    from_values,
    load_config,
    read_yaml,
    save_config,
    to_dict,
)
from aio_toolkit.errors import AioError


class Size(enum.StrEnum):
    small = "small"
    large = "large"


@dataclass
class Moe:
    num_experts: int = 8
    every: int = 2


@dataclass
class Model:
    width: int = 192
    dropout: float = 0.0
    moe: Moe = field(default_factory=Moe)


@dataclass
class Config:
    model: Model = field(default_factory=Model)
    seed: int = 1
    bf16: bool = False
    name: str | None = None
    size: Size = Size.small
    tasks: list[str] = field(default_factory=lambda: ["asr"])
    trainer: dict[str, Any] = field(default_factory=dict)


@dataclass
class Mandatory:
    codec: str = MISSING


@pytest.fixture
def yaml(tmp_path):
    def write(content: str, name: str = "train.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
        return path

    return write


def test_without_a_file_the_defaults_hold():
    assert load_config(Config, None) == Config()


def test_a_file_wins_over_defaults_and_overrides_over_the_file(yaml):
    path = yaml("model: {width: 64, moe: {num_experts: 4}}\ntasks: [asr, st]\n")
    config = load_config(Config, path, ["model.width=32", "seed=7", "bf16=true"])
    assert (config.model.width, config.model.moe.num_experts, config.model.moe.every) == (32, 4, 2)
    assert (config.seed, config.bf16, config.tasks) == (7, True, ["asr", "st"])
    assert isinstance(config, Config) and isinstance(config.model.moe, Moe)


@pytest.mark.parametrize("override", ["tasks=[sep,enh]", "tasks=[sep, enh]"])
def test_lists_can_be_overridden(override):
    assert load_config(Config, None, [override]).tasks == ["sep", "enh"]


def test_a_value_may_hold_an_equals_sign():
    assert load_config(Config, None, ["name=a=b"]).name == "a=b"


def test_a_free_section_takes_any_key(yaml):
    config = load_config(
        Config, yaml("trainer: {max_steps: 10}\n"), ["trainer.precision=bf16-mixed"]
    )
    assert config.trainer == {"max_steps": 10, "precision": "bf16-mixed"}


def test_what_is_saved_is_read_back(tmp_path):
    config = load_config(Config, None, ["model.moe.num_experts=3", "name=x"])
    save_config(config, tmp_path / "config.yaml")
    assert load_config(Config, tmp_path / "config.yaml") == config


def test_a_plain_dict_holds_plain_values():
    assert to_dict(Moe(3, 4)) == {"num_experts": 3, "every": 4}


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (
            "model: {moe: {num_expert: 4}}",
            ("unknown key 'model.moe.num_expert'", "'model.moe.num_experts'"),
        ),
        ("sed: 4", ("unknown key 'sed'", "Did you mean 'seed'?")),
        ("num_experts: 4", ("unknown key 'num_experts'", "Did you mean 'model.moe.num_experts'?")),
        (
            "model: {qqqqq: 4}",
            ("unknown key 'model.qqqqq'", "Known keys here: width, dropout, moe"),
        ),
    ],
)
def test_an_unknown_key_is_told_with_the_nearest_valid_one(yaml, content, parts):
    path = yaml(content)
    with pytest.raises(AioError) as caught:
        load_config(Config, path)
    assert all(part in str(caught.value) for part in (str(path), *parts))


@pytest.mark.parametrize(
    ("content", "key"), [("seed: many", "seed"), ("model: {width: 1.5}", "model.width")]
)
def test_a_wrong_type_names_file_and_key(yaml, content, key):
    path = yaml(content)
    with pytest.raises(AioError) as caught:
        load_config(Config, path)
    message = str(caught.value)
    assert str(path) in message and key in message and "\n" not in message


@pytest.mark.parametrize(
    ("content", "key"), [("model: 3", "model"), ("seed: 2\nmodel: {moe: big}", "model.moe")]
)
def test_a_value_in_place_of_a_section_names_the_section(yaml, content, key):
    with pytest.raises(AioError, match=f"train.yaml: key '{key}' is a section of keys"):
        load_config(Config, yaml(content))


def test_wrong_overrides_are_named():
    with pytest.raises(AioError, match="override 'model.widht=3'.*Did you mean 'model.width'"):
        load_config(Config, None, ["model.widht=3"])
    with pytest.raises(AioError, match="override 'seed' has no '='"):
        load_config(Config, None, ["seed"])
    with pytest.raises(AioError, match="override 'seed=x'.*seed"):
        load_config(Config, None, ["seed=x"])


@pytest.mark.parametrize(
    ("content", "part"),
    [("a: [1", "not valid YAML"), ("- a\n- b\n", "holds a list"), ("\tx: 1", "not valid YAML")],
)
def test_a_file_that_is_no_mapping_is_named(yaml, content, part):
    path = yaml(content)
    with pytest.raises(AioError, match=part) as caught:
        load_config(Config, path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_an_empty_file_means_the_defaults(yaml):
    assert load_config(Config, yaml("# nothing yet\n")) == Config()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(AioError, match="none.yaml does not exist"):
        load_config(Config, tmp_path / "none.yaml")


def test_a_file_in_another_encoding_is_named(tmp_path):
    (tmp_path / "a.yaml").write_bytes("name: été\n".encode("latin1"))
    with pytest.raises(AioError, match="not valid YAML"):
        load_config(Config, tmp_path / "a.yaml")


def test_a_mandatory_key_without_value_is_named(yaml):
    path = yaml("{}")
    with pytest.raises(AioError, match="key 'codec' has no value") as caught:
        load_config(Mandatory, path)
    assert str(path) in str(caught.value)
    with pytest.raises(AioError, match="^defaults: key 'codec' has no value"):
        load_config(Mandatory, None)


def test_an_interpolation_to_nowhere_is_a_users_mistake(yaml):
    with pytest.raises(AioError):
        load_config(Config, yaml("name: ${nowhere}\n"))


@pytest.mark.parametrize("override", ["seed=", "=3", "model..width=3", "model.=3", "seed.x=3"])
def test_odd_overrides_are_users_mistakes(override):
    with pytest.raises(AioError):
        load_config(Config, None, [override])


# --- choices by name ---


def test_a_choice_is_made_by_name():
    assert load_config(Config, None, ["size=large"]).size is Size.large


def test_a_wrong_choice_names_the_choices(yaml):
    message = r"train.yaml: key 'size': Invalid value 'huge', expected one of \[small, large\]"
    with pytest.raises(AioError, match=message):
        load_config(Config, yaml("size: huge\n"))


def test_a_choice_is_written_by_its_name(tmp_path):
    save_config(Config(size=Size.large), tmp_path / "config.yaml")
    assert "size: large\n" in (tmp_path / "config.yaml").read_text()
    assert load_config(Config, tmp_path / "config.yaml").size is Size.large


# --- base: ---


def test_values_of_a_base_hold_where_the_file_says_nothing(yaml):
    yaml("seed: 5\nmodel: {width: 64, moe: {every: 3}}\ntasks: [asr, st]\n", "base.yaml")
    config = load_config(Config, yaml("base: base.yaml\nmodel: {moe: {every: 4}}\ntasks: [sep]\n"))
    assert (config.seed, config.model.width, config.model.moe.every) == (5, 64, 4)
    assert config.tasks == ["sep"]


def test_a_base_may_have_a_base_and_paths_are_relative_to_the_file_that_names_them(yaml):
    yaml("seed: 1\nname: first\nbf16: true\n", "shared/first.yaml")
    yaml("base: first.yaml\nname: second\nseed: 2\n", "shared/second.yaml")
    config = load_config(Config, yaml("base: shared/second.yaml\nseed: 3\n"))
    assert (config.seed, config.name, config.bf16) == (3, "second", True)


def test_a_base_is_no_value_of_the_configuration(yaml):
    yaml("seed: 5\n", "base.yaml")
    assert dict(read_yaml(yaml("base: base.yaml\n"))) == {"seed": 5}


def test_a_base_that_is_missing_is_named_with_the_file_that_asks_for_it(yaml):
    path = yaml("base: none.yaml\n")
    with pytest.raises(AioError, match=rf"none.yaml \(the base of {path}\) does not exist"):
        load_config(Config, path)


@pytest.mark.parametrize("link", ["train.yaml", "other.yaml"])
def test_a_circle_of_bases_is_named(yaml, link):
    yaml("base: train.yaml\n", "other.yaml")
    with pytest.raises(AioError, match="base: .*train.yaml is a circle. Remove one of the links"):
        load_config(Config, yaml(f"base: {link}\n"))


def test_a_mistake_in_a_stage_s_file_is_told_without_its_module(yaml):
    where = "aio_toolkit.training.multitask:MultitaskModule"
    with pytest.raises(
        AioError, match="train.yaml: unknown key 'optim.rate'. Known keys here: kind, lr"
    ):
        check_config(where, yaml("optim: {rate: 1.0}\n"))
    with pytest.raises(AioError, match="override 'seed=x': key 'seed'"):
        check_config(where, None, ["seed=x"])


# --- values of checkpoints ---


def test_what_a_dict_was_made_of_comes_back():
    config = Config(Model(64, moe=Moe(3, 4)), seed=5, size=Size.large, trainer={"x": [1, 2]})
    assert from_values(Config, to_dict(config), "a checkpoint") == config


@pytest.mark.parametrize("values", [3, None, ["seed"], "seed"])
def test_what_is_no_section_is_named(values):
    with pytest.raises(AioError, match="a checkpoint: is a section of keys, not a single value"):
        from_values(Config, values, "a checkpoint")


def test_wrong_values_name_where_they_come_from():
    with pytest.raises(AioError, match="a checkpoint: unknown key 'sed'. Did you mean 'seed'"):
        from_values(Config, {"sed": 4}, "a checkpoint")
