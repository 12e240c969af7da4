"""Digests: every change of the data changes them, and nothing else does."""

import dataclasses
import os

import pytest
from tiny import ALL, utterance, with_waves

from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.digest import digest_of, signature_of, waves_digest


@pytest.fixture
def made(tmp_path) -> list[Utterance]:
    plain = [utterance("asr", "asr-1", 9), utterance("sep", "sep-1", 7)]
    return [with_waves(u, tmp_path) for u in plain]


def test_the_same_data_in_any_order_have_the_same_digest(made):
    assert digest_of(made) == digest_of(made[::-1])


@pytest.mark.parametrize(
    "change",
    [
        {"id": "asr-2"},
        {"task": ALL["st"]},
        {"speaker": "t"},
        {"num_samples": 5},
        {"answers": {"text": "blue"}},
        {"wav": "cat 1.wav |"},
        {"inputs": {"enrol": "2.wav"}},
    ],
)
def test_every_field_counts(made, change):
    assert digest_of([dataclasses.replace(made[0], **change), made[1]]) != digest_of(made)


@pytest.mark.parametrize("target", [None, "spk2"])
def test_a_wave_that_was_written_again_counts(made, target):
    sep = made[1]
    before = digest_of(made), waves_digest(sep)
    path = sep.answers[target] if target else sep.wav
    status = os.stat(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert digest_of(made) != before[0]
    assert waves_digest(sep) != before[1]


def test_an_offset_into_an_archive_is_told_by_the_archive(tmp_path):
    ark = tmp_path / "a.ark"
    ark.write_bytes(b"123")
    first, other = signature_of(f"{ark}:1"), signature_of(f"{ark}:2")
    assert first != other
    ark.write_bytes(b"1234")
    assert signature_of(f"{ark}:1") != first
