"""What is told of wrong keys."""

import pytest
from omegaconf import OmegaConf

from aio_toolkit.config_hints import section_given_a_value, unknown_key

KNOWN = OmegaConf.create(
    {"seed": 1, "model": {"width": 2, "moe": {"num_experts": 8}}, "optim": {"lr": 1.0}, "x": "???"}
)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("sed", "Did you mean 'seed'?"),
        ("model.widht", "Did you mean 'model.width'?"),
        ("model.moe.num_expert", "Did you mean 'model.moe.num_experts'?"),
        # Right, but elsewhere.
        ("num_experts", "Did you mean 'model.moe.num_experts'?"),
        ("model.num_experts", "Did you mean 'model.moe.num_experts'?"),
        ("model.moe.seed", "Did you mean 'seed'?"),
        # The same name in another part of the tree means something else.
        ("optim.num_experts", "Known keys here: lr."),
        # Like nothing.
        ("model.qqqqq", "Known keys here: width, moe."),
        ("qqqqq", "Known keys here: seed, model, optim, x."),
    ],
)
def test_an_unknown_key_is_told_with_the_one_that_was_probably_meant(key, hint):
    assert unknown_key(KNOWN, key) == f"unknown key '{key}'. {hint}"


@pytest.mark.parametrize(
    ("update", "section"),
    [
        ({"model": 3}, "model"),
        ({"seed": 2, "model": {"moe": "big"}}, "model.moe"),
        ({"model": {"moe": None}}, "model.moe"),
        ({"model": {"width": 3}}, None),
        ({"other": 3}, None),
    ],
)
def test_a_section_that_is_given_a_value_is_found(update, section):
    assert section_given_a_value(KNOWN, OmegaConf.create(update)) == section
