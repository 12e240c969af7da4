"""Ranges of the numbers in configurations."""

import dataclasses
import importlib
import math
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

import aio_toolkit
from aio_toolkit import declarations
from aio_toolkit.config import check_config, from_values, load_config
from aio_toolkit.errors import AioError
from aio_toolkit.ranges import RANGE, Range, bounded, out_of_range

PACKAGE = Path(aio_toolkit.__file__).parent
RECIPE = PACKAGE.parent / "egs/mini_aio/conf"
NESTED = ("Config", "Options", "Fit")
# Any finite number will do here; or what is wrong depends on more than the number.
FREE = {
    "aio_toolkit.analysis.comparison_list:ComparisonList.seeds",
    "aio_toolkit.data.mixing.noisy_speech:NoisySpeech.snr_db",
    "aio_toolkit.decoding.text:TextDecoder.length_bonus",
    "aio_toolkit.hub.answerers.audio:AudioAnswerer.channel",
    "aio_toolkit.hub.answerers.audio:AudioAnswerer.num_sources",
    "aio_toolkit.hub.answerers.audio:AudioAnswerer.window",
    "aio_toolkit.hub.answerers.base:Answerer.channel",
    "aio_toolkit.hub.answerers.base:Answerer.window",
    "aio_toolkit.hub.answerers.text:TextAnswerer.channel",
    "aio_toolkit.hub.answerers.text:TextAnswerer.window",
    "aio_toolkit.moe.layer:MoELayer.layers",
    "aio_toolkit.moe.mixture:MoEAttention.layers",
}
EDGES = st.none() | st.integers(-3, 3)
TRAINING = "aio_toolkit.training.multitask:MultitaskModule"


@given(EDGES, EDGES, EDGES, EDGES, st.integers(-4, 4) | st.floats(-4, 4))
def test_a_range_holds_what_all_of_its_bounds_allow(least, above, most, below, value):
    bounds = {"least": least, "above": above, "most": most, "below": below}
    given_bounds = {name: bound for name, bound in bounds.items() if bound is not None}
    allowed = (
        (least is None or value >= least)
        and (above is None or value > above)
        and (most is None or value <= most)
        and (below is None or value < below)
    )
    assert (value in Range(**given_bounds)) == allowed


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_range_holds_what_is_not_finite(value):
    assert value not in Range()
    assert value not in Range(least=0)


@given(st.integers(-20, 20), st.integers(1, 9), st.booleans())
def test_a_range_may_hold_multiples_or_odd_numbers_alone(value, multiple, odd):
    assert (value in Range(multiple=multiple)) == (value in range(-multiple * 20, 200, multiple))
    assert (value in Range(odd=odd)) == (not odd or value in (0, *range(-21, 21, 2)))
    assert (value in Range(odd=True, least=1)) == (value in range(1, 21, 2))


@dataclasses.dataclass
class Heads:
    width: int = 16
    num_heads: int | None = bounded(4, divides="width")
    top_k: int = bounded(2, up_to="num_experts")
    num_experts: int = 8


@dataclasses.dataclass
class Layers:
    first: Heads = dataclasses.field(default_factory=Heads)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["first.num_heads=3"], "'first.num_heads' must divide 'width', which is 16, not 3"),
        (["first.width=18"], "'first.num_heads' must divide 'width', which is 18, not 4"),
        (["first.top_k=9"], "'first.top_k' must be at most 'num_experts', which is 8, not 9"),
        (["first.num_experts=1"], "'first.top_k' must be at most 'num_experts', which is 1, not 2"),
        (["first.width=18", "first.num_heads=3"], None),
        (["first.num_experts=1", "first.top_k=1"], None),
        (["first.top_k=8"], None),
        (["first.num_heads=null"], None),
        (["first.width=${first.top_k}"], "must divide 'width', which is 2, not 4"),
    ],
)
def test_numbers_that_go_together_are_told_when_all_are_known(overrides, message):
    if message is None:
        load_config(Layers, None, overrides)
        return
    with pytest.raises(AioError) as caught:
        load_config(Layers, None, overrides)
    assert message in str(caught.value)


@dataclasses.dataclass
class Inner:
    rates: list[int] = bounded([2, 4], least=1)
    shares: dict[str, float] = bounded({}, least=0, most=1)
    most: int | None = bounded(None, least=1)
    free: float = 0.0


@dataclasses.dataclass
class Outer:
    inner: Inner = dataclasses.field(default_factory=Inner)
    anything: dict[str, Any] = dataclasses.field(default_factory=dict)
    lr: float = bounded(1.0, above=0)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("lr=0", "key 'lr' must be above 0, not 0.0"),
        ("lr=nan", "key 'lr' must be above 0, not nan"),
        ("inner.rates=[4, 0]", "key 'inner.rates' must be at least 1, not 0"),
        ("inner.shares={a: 0.5, b: 1.5}", "key 'inner.shares.b' must be at least 0 and at most 1"),
        ("inner.most=0", "key 'inner.most' must be at least 1, not 0"),
        ("inner.free=.inf", "key 'inner.free' must be finite, not inf"),
        ("anything.7=.nan", "key 'anything.7' must be finite, not nan"),
        ("anything.deep.value=.nan", "key 'anything.deep.value' must be finite, not nan"),
    ],
)
def test_a_number_out_of_range_is_told_with_key_range_and_value(override, message):
    with pytest.raises(AioError) as caught:
        load_config(Outer, None, [override])
    assert str(caught.value).startswith(f"override '{override}': {message}")


def test_the_source_of_a_wrong_number_is_the_one_that_has_it(tmp_path):
    path = tmp_path / "train.yaml"
    path.write_text("lr: -1\n")
    with pytest.raises(AioError, match=r"train.yaml: key 'lr'"):
        load_config(Outer, path, ["inner.most=3"])
    with pytest.raises(AioError, match="a checkpoint: key 'lr'"):
        from_values(Outer, {"lr": -1.0}, "a checkpoint")


def test_numbers_within_their_ranges_pass(tmp_path):
    path = tmp_path / "train.yaml"
    path.write_text("inner: {rates: [1], shares: {a: 0, b: 1}, most: null}\nlr: 1.0e-12\n")
    assert load_config(Outer, path) == Outer(Inner([1], {"a": 0.0, "b": 1.0}), lr=1e-12)


def test_a_reference_is_checked_by_what_it_leads_to(tmp_path):
    path = tmp_path / "train.yaml"
    path.write_text("anything: {rate: -1}\nlr: ${anything.rate}\n")
    with pytest.raises(AioError, match="key 'lr' must be above 0, not -1"):
        load_config(Outer, path)


def test_defaults_that_are_lists_are_not_shared():
    Inner().rates.append(8)
    assert Inner().rates == [2, 4]


def test_keys_may_be_numbers():
    section = OmegaConf.create({"inner": {7: math.inf}})
    assert list(out_of_range(section)) == ["key 'inner.7' must be finite, not inf"]


def test_truth_is_no_number():
    assert list(out_of_range(OmegaConf.create({"even": True}), Range(most=0))) == []


def _schemas():
    for path in sorted(PACKAGE.rglob("*.py")):
        relative = path.relative_to(PACKAGE.parent).with_suffix("")
        module = ".".join(relative.parts).removesuffix(".__init__")
        for name, node in declarations.read(module).classes.items():
            for inner in node.body:
                if getattr(inner, "name", None) in NESTED:
                    real = getattr(importlib.import_module(module), name)
                    yield f"{module}:{name}", getattr(real, inner.name)


def _is_number(hint: Any) -> bool:
    """A number, perhaps none, or a list or dict of numbers."""
    return hint in (int, float) or any(map(_is_number, get_args(hint)))


@pytest.mark.parametrize(("where", "schema"), _schemas())
def test_every_number_of_a_configuration_declares_its_range(where, schema):
    hints = get_type_hints(schema)
    numbers = [f for f in dataclasses.fields(schema) if _is_number(hints[f.name])]
    without = {f"{where}.{f.name}" for f in numbers if RANGE not in f.metadata}
    assert without <= FREE


@pytest.mark.parametrize(
    "override",
    [
        "optim.lr=-1",
        "optim.beta2=1.5",
        "optim.weight_decay=-0.1",
        "optim.warmup_steps=-1",
        "seed=-1",
        "task_weights.asr=0",
        "data.seconds.asr=-5",
        "data.segment_seconds=-1",
        "data.num_workers=-1",
        "data.mixing.sep.speakers.level_db=-2",
        "model.backbone.num_layers=0",
        "model.backbone.moe.feed_forward.top_k=0",
        "model.backbone.moe.feed_forward.experts.feed_forward.ffn_width=0",
        "model.heads.text.ctc_weight=1.1",
        "model.heads.audio.paths.mask.window=0",
        "model.front_end.options.log_mel.num_mels=0",
    ],
)
def test_nonsense_in_the_configuration_of_stage_4_is_refused_before_anything_is_imported(override):
    key = override.partition("=")[0]
    with pytest.raises(AioError, match=f"key '{key}' must be "):
        check_config(TRAINING, RECIPE / "train_aio.yaml", [override])
