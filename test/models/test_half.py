"""Weights rounded to float16."""

import numpy as np
import pytest
import torch
from torch import nn

from aio_toolkit.errors import AioError
from aio_toolkit.models.half import halved, round_weights


def test_floats_are_rounded_as_numpy_does_and_all_else_is_kept():
    state = nn.BatchNorm1d(5).state_dict()
    state["weight"] = torch.randn(5)
    found = halved(state)
    for name, value in state.items():
        want = value.numpy()
        if value.is_floating_point():
            want = want.astype(np.float16)
        assert found[name].numpy().dtype == want.dtype
        np.testing.assert_array_equal(found[name].numpy(), want)


def test_a_model_with_rounded_weights_computes_in_float32():
    torch.manual_seed(0)
    model, rounded = nn.Linear(4, 3), nn.Linear(4, 3)
    rounded.load_state_dict(model.state_dict())
    round_weights(rounded)
    x = torch.randn(2, 4)
    want = x @ model.weight.half().float().T + model.bias.half().float()
    torch.testing.assert_close(rounded(x), want)
    assert not torch.equal(rounded(x), model(x))


@pytest.mark.parametrize(("value", "fits"), [(65504.0, True), (-7e4, False), (np.inf, True)])
def test_numbers_that_float16_does_not_have_are_named(value, fits):
    state = {"a.weight": torch.tensor([1.0, value])}
    if fits:
        assert halved(state)["a.weight"].tolist() == [1.0, value]
    else:
        with pytest.raises(AioError, match="a.weight holds numbers beyond float16"):
            halved(state)
