"""Fingerprints of a dump: what was written comes back, and what does not match is refused."""

import dataclasses
import json

import pytest

from aio_toolkit.codec.base import CodecFingerprint
from aio_toolkit.dump.fingerprints import claim_dump, read_codec
from aio_toolkit.errors import AioError

CODEC = CodecFingerprint("tiny", "0f", 16000, 320, 2, 16, 8)


@pytest.fixture
def dump(tmp_path):
    claim_dump(tmp_path, CODEC, "float32")
    return tmp_path


def test_fingerprints_come_back(dump):
    assert read_codec(dump) == CODEC


def test_the_same_run_may_go_on(dump):
    claim_dump(dump, CODEC, "float32")


def test_another_codec_is_refused(dump):
    other = dataclasses.replace(CODEC, weights_sha256="aa")
    with pytest.raises(AioError, match="codec.json is there.*weights_sha256 is 0f, expected aa"):
        claim_dump(dump, other, "float32")


def test_another_precision_is_refused(dump):
    with pytest.raises(AioError, match="precision is float32, expected bfloat16"):
        claim_dump(dump, CODEC, "bfloat16")


def test_a_dump_without_fingerprints_names_the_stage(tmp_path):
    with pytest.raises(AioError, match="codec.json does not exist. Run stage 2"):
        read_codec(tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda values: values.pop("hop"), "codec.json: key 'hop' has no value"),
        (lambda values: values.update(hop="long"), "codec.json: key 'hop': Value 'long'"),
        (lambda values: values.update(hops=1), "codec.json: unknown key 'hops'"),
    ],
)
def test_a_damaged_fingerprint_is_named(dump, damage, message):
    values = json.loads((dump / "codec.json").read_text())
    damage(values)
    (dump / "codec.json").write_text(json.dumps(values))
    with pytest.raises(AioError, match=message):
        read_codec(dump)
