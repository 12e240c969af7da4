"""Revival of codes in data-parallel training: the ranks' codebooks stay one."""

import pytest
import torch
from two_ranks import on_two_ranks

from aio_toolkit.codec import usage
from aio_toolkit.codec.dac import Dac
from aio_toolkit.codec.dac_model import build_dac
from aio_toolkit.codec.usage import CodeRevival

CODES = 6


def quantizer_of_two() -> torch.nn.Module:
    torch.manual_seed(0)
    sizes = Dac.Config(16000, 4, [5, 2], 8, 16, [2, 5], 2, CODES, 4)
    return build_dac(sizes).quantizer


def test_a_code_lives_if_another_rank_uses_it(monkeypatch):
    quantizer, revival = quantizer_of_two(), CodeRevival(2, CODES, patience=1)
    own_QV = torch.ones(2, CODES, dtype=torch.long)
    own_QV[0, [3, 5]] = 0
    other_QV = torch.ones_like(own_QV)
    other_QV[0, 5] = 0
    monkeypatch.setattr(usage, "sum_over_ranks", lambda count_QV: count_QV + other_QV)
    before_VK = quantizer.quantizers[0].codebook.weight.clone()
    assert revival.step(quantizer, own_QV, torch.randn(2, 8, 5), seed=0) == 1
    moved_V = (quantizer.quantizers[0].codebook.weight != before_VK).any(-1)
    assert moved_V.nonzero().tolist() == [[5]]


def test_the_dead_move_to_what_the_first_rank_has_chosen(monkeypatch):
    quantizer, revival = quantizer_of_two(), CodeRevival(2, CODES, patience=1)
    count_QV = torch.ones(2, CODES, dtype=torch.long)
    count_QV[1, [0, 4]] = 0
    of_first_NK = torch.tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]])
    monkeypatch.setattr(usage, "of_first_rank", lambda own_NK: of_first_NK)
    revival.step(quantizer, count_QV, torch.randn(2, 8, 5), seed=0)
    assert torch.equal(quantizer.quantizers[1].codebook.weight[[0, 4]], of_first_NK)


def revive(rank: int) -> dict[str, torch.Tensor]:
    """Two steps, after which codes 4 and 5 of the first codebook are dead.

    Codes 2 and 3 are each used on one of the ranks; in the second codebook all are used.
    """
    quantizer = quantizer_of_two()
    before_QVK = torch.stack([stage.codebook.weight.detach() for stage in quantizer.quantizers])

    torch.manual_seed(1 + rank)
    projected_BPT = torch.randn(2, 8, 5)
    count_QV = torch.ones(2, CODES, dtype=torch.long)
    count_QV[0, [4, 5, 2 + rank]] = 0
    revival = CodeRevival(2, CODES, patience=2)
    revived = [revival.step(quantizer, count_QV, projected_BPT, seed) for seed in range(2)]
    return {
        "before_QVK": before_QVK,
        "after_QVK": torch.stack([s.codebook.weight.detach() for s in quantizer.quantizers]),
        "frames_NK": projected_BPT[:, :4].transpose(1, 2).flatten(0, 1),
        "revived": torch.tensor(revived),
    }


@pytest.mark.slow
def test_the_dead_of_all_ranks_move_to_frames_of_the_first(tmp_path):
    first, second = on_two_ranks(__file__, "revive", tmp_path)
    assert torch.equal(first["after_QVK"], second["after_QVK"])
    assert first["revived"].tolist() == second["revived"].tolist() == [0, 2]
    moved_QV = (first["after_QVK"] != first["before_QVK"]).any(-1)
    assert moved_QV.nonzero().tolist() == [[0, 4], [0, 5]]
    for code_K in first["after_QVK"][0, 4:]:
        assert (first["frames_NK"] == code_K).all(1).any()
