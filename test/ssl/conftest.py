"""A batch with masked frames, of rows of different length."""

import pytest
import torch

from aio_toolkit.encoders.base import valid_frames
from aio_toolkit.ssl.base import MaskedBatch


@pytest.fixture
def make_batch():
    """The function that makes a batch of Q codebooks with V codes."""

    def make(Q: int = 3, V: int = 5, num_features: int = 10, width: int = 16) -> MaskedBatch:
        torch.manual_seed(3)
        valid_BT = valid_frames(torch.tensor([14, 9, 11]), 14)
        hidden_BT = (torch.rand(3, 14) < 0.5) & valid_BT
        codes_BTQ = torch.randint(V, (3, 14, Q)).masked_fill(~valid_BT[..., None], -1)
        states = [torch.randn(3, 14, width, requires_grad=True) for _ in range(2)]
        features_BTF = torch.randn(3, 14, num_features)
        return MaskedBatch(features_BTF, codes_BTQ, valid_BT, hidden_BT, states)

    return make
