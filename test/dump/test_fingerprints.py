"""Fingerprints of a dump: what was written comes back, and what does not match is refused."""

import dataclasses
import json

import pytest

from aio_toolkit.codec.base import CodecFingerprint
from aio_toolkit.dump.fingerprints import Provenance, claim_dump, read_fingerprints
from aio_toolkit.errors import AioError
from aio_toolkit.frontend.features import FrontEndFingerprint

CODEC = CodecFingerprint("tiny", "0f", 16000, 320, 2, 16, 8)
FRONT_END = FrontEndFingerprint(
    log_mel=True,
    codec_latents=True,
    num_mels=80,
    window_ms=25.0,
    hop_ms=10.0,
    hop=320,
    codec_sha256="0f",
)
PROVENANCE = Provenance(CODEC, FRONT_END)


@pytest.fixture
def dump(tmp_path):
    claim_dump(tmp_path, PROVENANCE, "float32")
    return tmp_path


def test_fingerprints_come_back(dump):
    assert read_fingerprints(dump) == PROVENANCE


def test_fingerprints_survive_a_checkpoint():
    values = json.loads(json.dumps(dataclasses.asdict(PROVENANCE)))
    assert Provenance.from_dict(values) == PROVENANCE


def test_the_same_run_may_go_on(dump):
    claim_dump(dump, PROVENANCE, "float32")


def test_another_codec_is_refused(dump):
    other = Provenance(dataclasses.replace(CODEC, weights_sha256="aa"), FRONT_END)
    with pytest.raises(AioError, match="codec.json is there.*weights_sha256 is 0f, expected aa"):
        claim_dump(dump, other, "float32")


def test_another_front_end_is_refused(dump):
    other = Provenance(CODEC, dataclasses.replace(FRONT_END, num_mels=40))
    with pytest.raises(AioError, match="frontend.json is there.*num_mels is 80, expected 40"):
        claim_dump(dump, other, "float32")


def test_another_precision_is_refused(dump):
    with pytest.raises(AioError, match="precision is float32, expected bfloat16"):
        claim_dump(dump, PROVENANCE, "bfloat16")


def test_a_dump_without_fingerprints_names_the_stage(tmp_path):
    with pytest.raises(AioError, match="codec.json does not exist. Run the stage"):
        read_fingerprints(tmp_path)


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
        read_fingerprints(dump)
