"""Account and revival of codes."""

import numpy as np
import pytest
import scipy.stats
import torch

from aio_toolkit.codec.dac import DacConfig, build_dac
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


def make_quantizer():
    """Two codebooks of six codes in four channels."""
    torch.manual_seed(0)
    return build_dac(DacConfig(16000, 4, [5, 2], 8, 16, [2, 5], 2, 6, 4)).quantizer


def all_used_but(*unused: tuple[int, int]) -> torch.Tensor:
    """Counts (Q, V) in which the given codes of the given codebooks do not occur."""
    count_QV = torch.ones(2, 6, dtype=torch.long)
    for q, v in unused:
        count_QV[q, v] = 0
    return count_QV


def test_dead_codes_move_to_frames_of_their_own_codebook_and_others_stay():
    quantizer, projected_BPT = make_quantizer(), torch.randn(2, 8, 5)
    before = [stage.codebook.weight.clone() for stage in quantizer.quantizers]
    count_QV = all_used_but((0, 3), (1, 5))
    revival = CodeRevival(2, 6, patience=3)
    revived = [revival.step(quantizer, count_QV, projected_BPT, seed) for seed in range(4)]
    assert revived == [0, 0, 2, 0]
    for q, dead in enumerate((3, 5)):
        new_VK, old_VK = quantizer.quantizers[q].codebook.weight, before[q]
        kept = [code for code in range(6) if code != dead]
        assert torch.equal(new_VK[kept], old_VK[kept])
        frames = [projected_BPT[b, 4 * q : 4 * q + 4, t] for b in range(2) for t in range(5)]
        assert any(torch.equal(new_VK[dead], frame_K) for frame_K in frames)


def test_a_code_lives_as_long_as_it_is_used_now_and_then():
    quantizer, revival = make_quantizer(), CodeRevival(2, 6, patience=3)
    projected_BPT, unused = torch.randn(2, 8, 5), all_used_but((1, 2))
    steps = [unused, unused, all_used_but(), unused, unused, all_used_but()]
    assert [revival.step(quantizer, count_QV, projected_BPT, 0) for count_QV in steps] == [0] * 6


def test_revival_is_a_function_of_the_seed():
    projected_BPT, codebooks = torch.randn(2, 8, 50), []
    for seed in (1, 1, 2):
        quantizer = make_quantizer()
        CodeRevival(2, 6, patience=1).step(quantizer, all_used_but((0, 3)), projected_BPT, seed)
        codebooks.append(quantizer.quantizers[0].codebook.weight)
    assert torch.equal(codebooks[0], codebooks[1])
    assert not torch.equal(codebooks[0], codebooks[2])


def test_the_idle_steps_of_each_code_are_kept_in_a_checkpoint():
    revival, projected_BPT = CodeRevival(2, 6, patience=9), torch.randn(2, 8, 5)
    for _ in range(4):
        revival.step(make_quantizer(), all_used_but((1, 2)), projected_BPT, 0)
    want_QV = torch.zeros(2, 6, dtype=torch.long)
    want_QV[1, 2] = 4
    assert torch.equal(revival.state_dict()["idle_QV"], want_QV)
