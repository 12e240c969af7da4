"""Tensors in files without code."""

import pickle

import pytest
import torch

from aio_toolkit.errors import AioError
from aio_toolkit.tensor_files import (
    is_whole,
    read_tensors,
    read_torch,
    write_tensors,
    write_torch,
)


class Evil:
    def __reduce__(self):
        return exec, ("raise SystemExit('hacked')",)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.int64, torch.bool])
def test_tensors_come_back_to_the_bit(tmp_path, dtype):
    x = torch.randn(3, 5).mul(3).to(dtype)
    write_tensors(tmp_path / "new" / "a.safetensors", {"x": x, "one": torch.ones((), dtype=dtype)})
    back = read_tensors(tmp_path / "new" / "a.safetensors")
    assert torch.equal(back["x"], x) and back["x"].dtype == dtype
    assert back["one"].shape == ()


def test_views_of_one_tensor_are_each_written_whole(tmp_path):
    x = torch.arange(12.0).reshape(3, 4)
    write_tensors(tmp_path / "a.safetensors", {"x": x, "column": x[:, 1], "turned": x.T})
    back = read_tensors(tmp_path / "a.safetensors")
    assert back["column"].tolist() == [1.0, 5.0, 9.0]
    assert torch.equal(back["turned"], x.T)


def test_a_pickle_is_refused_and_does_not_run(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(AioError, match="a.safetensors is no safetensors file"):
        read_tensors(path)


def test_a_file_that_ends_too_early_or_is_missing_is_told(tmp_path):
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"x": torch.zeros(100)})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(AioError, match="is no safetensors file"):
        read_tensors(path)
    path.unlink()
    with pytest.raises(AioError, match="does not exist"):
        read_tensors(path)


CONTENT = {"weights": torch.arange(1000.0), "name": "aio", "steps": 3}


def test_what_torch_writes_comes_back_and_equal_contents_are_equal_files(tmp_path):
    for name in ("a.pt", "new/b.pt"):
        write_torch(tmp_path / name, CONTENT)
    back = read_torch(tmp_path / "new" / "b.pt")
    assert torch.equal(back.pop("weights"), CONTENT["weights"])
    assert back == {"name": "aio", "steps": 3}
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "new" / "b.pt").read_bytes()


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_block_of_zeros_is_noticed(tmp_path, place):
    path = tmp_path / "a.pt"
    write_torch(path, CONTENT)
    content = bytearray(path.read_bytes())
    begin = content.index(CONTENT["weights"][1:9].numpy().tobytes())
    begin += int(place * 3900)
    content[begin : begin + 8] = bytes(8)
    path.write_bytes(content)
    assert not is_whole(path)
    with pytest.raises(AioError, match=r"a\.pt is damaged$"):
        read_torch(path)


@pytest.mark.parametrize("keep", [0, 1, 1000, -1])
def test_a_part_of_a_file_is_noticed(tmp_path, keep):
    path = tmp_path / "a.pt"
    write_torch(path, CONTENT)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(AioError, match=r"a\.pt is damaged$"):
        read_torch(path)


def test_what_would_run_is_refused(tmp_path):
    write_torch(tmp_path / "a.pt", {"weights": Evil()})
    with pytest.raises(AioError, match=r"a\.pt cannot be read"):
        read_torch(tmp_path / "a.pt")
