"""What ranks agree on; a single process agrees with itself."""

import pytest
import torch
from torch import nn
from two_ranks import on_two_ranks

from aio_toolkit.ranks import follow_first_rank, of_first_rank, sum_over_ranks


def test_a_single_process_has_the_sum_and_the_first_say():
    x = torch.tensor([3, 1])
    for function in (sum_over_ranks, of_first_rank):
        got = function(x)
        assert torch.equal(got, x)
        got += 1
        assert x.tolist() == [3, 1]


def test_a_single_process_follows_itself():
    layer = nn.BatchNorm1d(3)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    follow_first_rank(layer)
    torch.testing.assert_close(layer.state_dict(), before, atol=0, rtol=0)


def agree(rank: int) -> dict[str, torch.Tensor]:
    """What a rank makes of values of its own."""
    torch.manual_seed(rank)
    layer = nn.BatchNorm1d(3)
    nn.init.normal_(layer.weight)
    layer.running_mean.fill_(rank)
    drawn = torch.randn(2, 3)
    first = of_first_rank(drawn.T)
    total = sum_over_ranks(drawn.requires_grad_())
    before = layer.weight.detach().clone()
    follow_first_rank(layer)
    return {"drawn": drawn.detach(), "first": first, "sum": total, "before": before} | {
        f"after_{name}": value for name, value in layer.state_dict().items()
    }


@pytest.mark.slow
def test_ranks_see_the_sum_and_what_the_first_has(tmp_path):
    ranks = on_two_ranks(__file__, "agree", tmp_path)
    for rank in ranks:
        torch.testing.assert_close(rank["sum"], ranks[0]["drawn"] + ranks[1]["drawn"])
        assert torch.equal(rank["first"], ranks[0]["drawn"].T)
        assert torch.equal(rank["after_weight"], ranks[0]["before"])
        assert torch.equal(rank["after_running_mean"], torch.zeros(3))
    assert not torch.equal(ranks[1]["before"], ranks[0]["before"])
