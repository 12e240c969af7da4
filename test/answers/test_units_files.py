"""Units of any kind in files of a pack."""

import pytest
import torch
from foreign import in_use
from tiny import codec_units

from aio_toolkit import parts
from aio_toolkit.answers.audio import CodecUnits
from aio_toolkit.answers.text import TextUnits
from aio_toolkit.answers.units_files import load_state, save_state
from aio_toolkit.errors import AioError
from aio_toolkit.text import Vocabulary


def test_every_value_goes_to_the_kind_of_file_that_holds_it(tmp_path):
    state = {"x": torch.arange(3), "blob": b"\x00\xff", "names": ("a", "b"), "size": 2.5}
    save_state(state, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "blob.bin",
        "tensors.safetensors",
        "values.yaml",
    ]
    back = load_state(tmp_path)
    assert torch.equal(back.pop("x"), state["x"])
    assert back == {"blob": b"\x00\xff", "names": ["a", "b"], "size": 2.5}


def test_vectors_of_a_codec_come_back_to_the_bit(tmp_path):
    units = codec_units()
    units.pack(tmp_path)
    back = CodecUnits.unpack(tmp_path)
    assert back.fingerprint == units.fingerprint
    assert torch.equal(back.embedding_QVC, units.embedding_QVC)
    assert torch.equal(back.silence_Q, units.silence_Q)


def test_a_vocabulary_is_in_the_files_that_stage_2_writes(vocabulary, tmp_path):
    TextUnits(vocabulary).pack(tmp_path)
    assert Vocabulary.load(tmp_path) == vocabulary
    assert TextUnits.unpack(tmp_path) == TextUnits(vocabulary)


def test_a_shuffled_vocabulary_is_refused(vocabulary, tmp_path):
    TextUnits(vocabulary).pack(tmp_path)
    tokens = (tmp_path / "tokens.txt").read_text().splitlines()
    tokens[3], tokens[4] = tokens[4], tokens[3]
    (tmp_path / "tokens.txt").write_text("\n".join(tokens) + "\n")
    with pytest.raises(AioError, match=r"tokens.txt does not match .*bpe.model"):
        TextUnits.unpack(tmp_path)


def test_units_of_a_third_kind_need_no_code_of_their_own(tmp_path):
    with in_use("tagging"):
        units = parts.find_in("answers", "tags").units(("bark", "dog"))
        units.pack(tmp_path)
        assert type(units).unpack(tmp_path) == units
