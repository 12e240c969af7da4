"""Whatever a configuration says within its ranges: a model that takes a step, or one clear line."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, get_args, get_type_hints

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf
from tiny import CODEBOOK_SIZE, CODEC, NUM_CODEBOOKS, TASKS, tiny_batch, tiny_encoder, units_of

from aio_toolkit import parts
from aio_toolkit.config import load_config
from aio_toolkit.config_parts import expanded
from aio_toolkit.errors import AioError
from aio_toolkit.models.aio import AioModel
from aio_toolkit.models.ssl import SslModel
from aio_toolkit.ranges import RANGE, Range

AIO = [
    "backbone={width: 16, num_layers: 2, num_heads: 2, ffn_width: 16, conv_kernel: 3}",
    "backbone.moe.feed_forward={num_experts: 4, top_k: 2}",
    "backbone.moe.feed_forward.experts.feed_forward.ffn_width=16",
    "backbone.moe.attention={num_experts: 4, top_k: 2, layers: [0]}",
    "backbone.moe.attention.experts.attention_heads.head_width=8",
    "heads.text={num_layers: 1, num_heads: 2, ffn_width: 16}",
    "heads.audio.width=16",
    "heads.audio.paths={mask: {weight: 1}, classes: {weight: 0.3}, latent: {weight: 0.1}}",
    "front_end.parts=[log_mel, stft]",
    "front_end.options.log_mel.num_mels=6",
]
AIO_KINDS = {"backbone.moe.router": "moe/routers", "backbone.moe.balance": "moe/balances"}
SSL = [
    "encoder.transformer={width: 16, num_layers: 2, num_heads: 2, ffn_width: 16}",
    "encoder.conformer={width: 16, num_layers: 2, num_heads: 2, ffn_width: 16}",
    "encoder.e_branchformer={width: 16, num_layers: 2, num_heads: 2, ffn_width: 16}",
    "front_end.options.log_mel.num_mels=6",
]
SSL_KINDS = {"encoder": "encoders", "objective": "ssl"}
# Small enough for a test; odd, even and prime, and beyond what there is.
WHOLE = [1, 2, 3, 4, 5, 7, 8, 12, 16, 33]
REAL = [1e-6, 0.01, 0.3, 0.5, 0.999, 1.0, 1.7, 2.5, 8.0, 40.0]


def numbers(section: DictConfig, prefix: str = "") -> Iterator[tuple[str, list[float]]]:
    """The key of every number of a section, and values that its range allows."""
    schema = OmegaConf.get_type(section)
    hints = get_type_hints(schema)
    for f in dataclasses.fields(schema):
        value = section[f.name]
        if isinstance(value, DictConfig) and dataclasses.is_dataclass(OmegaConf.get_type(value)):
            yield from numbers(value, f"{prefix}{f.name}.")
        elif RANGE in f.metadata and not isinstance(value, list):
            is_whole = int in (hints[f.name], *get_args(hints[f.name]))
            yield f"{prefix}{f.name}", allowed_of(f.metadata[RANGE], WHOLE if is_whole else REAL)


def allowed_of(allowed: Range, values: Sequence[float]) -> list[float]:
    return [value for value in values if value in allowed]


def changes(schema: type, kinds: dict[str, str]) -> st.SearchStrategy[list[str]]:
    """Parts of any kind, and other values for a number or two."""
    known = list(numbers(OmegaConf.structured(expanded(schema))))
    number = st.sampled_from(known).flatmap(
        lambda pair: st.sampled_from(pair[1]).map(lambda value: f"{pair[0]}={value}")
    )
    chosen = [
        st.sampled_from(parts.kinds(folder)).map(lambda kind, key=key: f"{key}.kind={kind}")
        for key, folder in kinds.items()
    ]
    return st.tuples(*chosen, number, number).map(list)


def takes_a_step_or_tells(build: Callable[[], Any]) -> None:
    torch.manual_seed(0)
    try:
        loss = build()
    except AioError as error:
        assert "\n" not in str(error)
        return
    loss.backward()
    assert torch.isfinite(loss)


quickly = settings(
    max_examples=80,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.mark.slow
@quickly
@given(overrides=changes(AioModel.Config, AIO_KINDS))
def test_the_model_of_stage_4_takes_a_step_or_one_line_says_why_not(vocabulary, overrides):
    def build() -> torch.Tensor:
        config = load_config(AioModel.Config, None, [*AIO, *overrides])
        model = AioModel(config, TASKS, tiny_encoder(), units_of(vocabulary)).train()
        return sum(loss.total for loss in model(tiny_batch()).losses.values())

    takes_a_step_or_tells(build)


@pytest.mark.slow
@quickly
@given(overrides=changes(SslModel.Config, SSL_KINDS))
def test_the_model_of_stage_3_takes_a_step_or_one_line_says_why_not(overrides):
    def build() -> torch.Tensor:
        config = load_config(SslModel.Config, None, [*SSL, *overrides])
        model, batch = SslModel(config, CODEC).train(), tiny_batch()
        num_frames = -(-batch.wave_BS.shape[1] // CODEC.hop)
        codes_BTQ = torch.randint(CODEBOOK_SIZE, (len(batch.wave_BS), num_frames, NUM_CODEBOOKS))
        return model(batch.wave_BS, batch.samples_B, codes_BTQ).total

    takes_a_step_or_tells(build)
