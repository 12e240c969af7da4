"""A dump must be of the codec and the front end that a model was made for."""

import dataclasses

import numpy as np
import pytest
from tiny import CODEC, FRONT_END, PROVENANCE, utterance, write_split

from aio_toolkit.analysis.dumps import check_dump
from aio_toolkit.dump.fingerprints import Provenance
from aio_toolkit.dump.split import Split
from aio_toolkit.errors import AioError


@pytest.fixture
def split(tmp_path) -> Split:
    feats = {"asr-0": np.zeros((4, 2), np.float32)}
    return write_split(tmp_path, "dev", [utterance("asr", "asr-0", 4)], {"feats": feats})


def test_a_dump_of_the_same_codec_and_front_end_passes(split):
    check_dump(split, PROVENANCE)


@pytest.mark.parametrize(
    ("provenance", "message"),
    [
        (
            Provenance(dataclasses.replace(CODEC, weights_sha256="1e"), FRONT_END),
            "codes in .*dump/dev: made for another one",
        ),
        (
            Provenance(CODEC, dataclasses.replace(FRONT_END, num_mels=3)),
            r"features in .*dump/dev: made for another one \(num_mels is 8, expected 3\)",
        ),
    ],
)
def test_what_differs_is_named(split, provenance, message):
    with pytest.raises(AioError, match=message):
        check_dump(split, provenance)
