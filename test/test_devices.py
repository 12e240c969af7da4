"""Devices by name."""

import pytest
import torch

from aio_toolkit.devices import pick_device
from aio_toolkit.errors import AioError


@pytest.mark.parametrize(("there", "want"), [(True, "cuda"), (False, "cpu")])
def test_a_gpu_is_taken_where_there_is_one(monkeypatch, there, want):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert pick_device("auto") == want


@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_a_gpu_that_is_not_there_is_told(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(AioError, match=rf"device '{name}' asks for a GPU and torch sees none"):
        pick_device(name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device(name) == name


def test_other_names_are_told():
    with pytest.raises(AioError, match="unknown device 'gpu'. Choose one of: cpu, cuda, auto"):
        pick_device("gpu")
