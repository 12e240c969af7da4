"""Account and revival of codes."""

import numpy as np
import pytest
import scipy.stats
import torch

from aio_toolkit.codec.dac import Dac
from aio_toolkit.codec.dac_model import build_dac
from aio_toolkit.codec.usage import CodeRevival, count_codes, entropy_share


def test_counts_are_those_of_a_loop():
    codes_BQT = torch.randint(5, (3, 2, 7))
    count_QV = count_codes(codes_BQT, 5)
    for q in range(2):
        for v in range(5):
            assert count_QV[q, v] == sum(int(c) == v for c in codes_BQT[:, q].flatten())


def test_entropy_is_a_share_of_the_largest():
    count_QV = torch.tensor([[4, 4, 4, 4], [16, 0, 0, 0], [1, 2, 3, 4]])
    want = [1.0, 0.0, scipy.stats.entropy([1, 2, 3, 4]) / np.log(4)]
    assert entropy_share(count_QV).tolist() == pytest.approx(want, abs=1e-6)


def test_dead_codes_move_to_frames_and_others_stay():
    torch.manual_seed(0)
    config = Dac.Config(16000, 4, [5, 2], 8, 16, [2, 5], 2, 6, 4)
    quantizer = build_dac(config).quantizer
    before = [stage.codebook.weight.clone() for stage in quantizer.quantizers]
    projected_BPT = torch.randn(2, 8, 5)
    count_QV = torch.ones(2, 6, dtype=torch.long)
    count_QV[0, 3] = count_QV[1, 5] = 0
    revival = CodeRevival(2, 6, patience=3)
    assert [revival.step(quantizer, count_QV, projected_BPT, seed) for seed in range(4)] == [
        0,
        0,
        2,
        0,
    ]
    for stage, old, dead, frames_BKT in zip(
        quantizer.quantizers, before, (3, 5), projected_BPT.chunk(2, dim=1), strict=True
    ):
        new = stage.codebook.weight
        kept = [code for code in range(6) if code != dead]
        assert torch.equal(new[kept], old[kept])
        assert (new[dead] == frames_BKT.transpose(1, 2).flatten(0, 1)).all(1).any()
