"""A batch with masked frames, of rows of different length, and the sizes of an encoder."""

from collections.abc import Callable

import pytest
import torch

from aio_toolkit.layers import valid_frames
from aio_toolkit.ssl.base import FeatureEncoder, MaskedBatch


@pytest.fixture
def make_batch() -> Callable[..., MaskedBatch]:
    """The function that makes a batch of Q codebooks with V codes."""

    def make(Q: int = 3, V: int = 5, num_features: int = 10, width: int = 16) -> MaskedBatch:
        torch.manual_seed(3)
        valid_BT = valid_frames(torch.tensor([14, 9, 11]), 14)
        masked_BT = (torch.rand(3, 14) < 0.5) & valid_BT
        codes_BTQ = torch.randint(V, (3, 14, Q)).masked_fill(~valid_BT[..., None], -1)
        states = [torch.randn(3, 14, width, requires_grad=True) for _ in range(2)]
        features_BTF = torch.randn(3, 14, num_features)
        return MaskedBatch(features_BTF, features_BTF, codes_BTQ, valid_BT, masked_BT, states)

    return make


@pytest.fixture
def make_encoder() -> Callable[..., FeatureEncoder]:
    """The function that makes all that most objectives want of an encoder: its sizes."""

    def make(width: int = 16) -> FeatureEncoder:
        return FeatureEncoder(width)

    return make
