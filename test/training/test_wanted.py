"""What stage 2 is asked to code."""

from pathlib import Path

import pytest

from aio_toolkit.dump.shards import Part
from aio_toolkit.errors import AioError
from aio_toolkit.training.wanted import Source, wanted_parts

CONF = Path(__file__).parents[2] / "egs/mini_aio/conf"
CODES = "model.heads.audio.paths.classes.weight"
OBJECTIVE = "model.objective.kind"


def wanted(ssl: list[str] | None, aio: list[str] | None) -> set[Part]:
    sources = []
    for name, overrides in (("train_ssl", ssl), ("train_aio", aio)):
        path = CONF / f"{name}.yaml"
        sources.append(Source(None) if overrides is None else Source(path, overrides))
    return wanted_parts(*sources)


@pytest.mark.parametrize(
    ("ssl", "aio", "parts"),
    [
        ([f"{OBJECTIVE}=masked_codes"], [f"{CODES}=0"], {Part.input}),
        ([f"{OBJECTIVE}=best_rq"], [f"{CODES}=0"], set()),
        ([f"{OBJECTIVE}=best_rq"], [f"{CODES}=0.3"], {Part.sources}),
        ([f"{OBJECTIVE}=masked_codes"], [f"{CODES}=0.3"], {Part.input, Part.sources}),
        (None, [f"{CODES}=0.3"], {Part.sources}),
        ([f"{OBJECTIVE}=masked_codes"], None, {Part.input}),
        (None, None, set()),
    ],
)
def test_what_objective_and_heads_learn_from_is_coded(ssl, aio, parts):
    assert wanted(ssl, aio) == parts


def test_a_wrong_key_is_named():
    with pytest.raises(AioError, match="unknown key"):
        wanted(["model.objective.knid=best_rq"], None)
