"""Tensors in files without code."""

import pickle

import pytest
import torch

from aio_toolkit.errors import AioError
from aio_toolkit.tensor_files import read_tensors, write_tensors


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
