"""Figures of known routings."""

import math

import pytest
import torch
from routings import counts_of

from aio_toolkit.moe.base import RoutingTable
from aio_toolkit.moe.figures import entropy, layer_figures


def test_tasks_weigh_equally_in_the_effective_number_of_experts():
    """A thousand tokens on expert 0 and two on experts 1 and 2: shares of 1/2, 1/4 and 1/4."""
    table = counts_of(torch.tensor([[1000.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0]]))
    figures = layer_figures(table, ["asr", "sep"])
    assert figures["effective_experts"] == pytest.approx(2**1.5)
    assert figures["entropy/asr"] == pytest.approx(0)
    assert figures["entropy/sep"] == pytest.approx(math.log(2))
    assert figures["mutual_information"] == pytest.approx(math.log(2), abs=1e-6)


@pytest.mark.parametrize(("share", "dead"), [(0.024, 1), (0.026, 0)])
def test_an_expert_is_dead_below_a_twentieth_of_an_even_load(share, dead):
    """Of two experts an even load is a half, so a fortieth is the limit."""
    table = counts_of(1000 * torch.tensor([[1 - share, share]]))
    assert layer_figures(table, ["asr"])["dead_experts"] == dead


def test_tasks_without_tokens_are_left_out():
    table = counts_of(torch.tensor([[0.0, 0.0, 0.0], [6.0, 6.0, 6.0]]))
    figures = layer_figures(table, ["asr", "sep"])
    assert figures["effective_experts"] == pytest.approx(3)
    assert [name for name in figures if name.startswith("entropy/")] == ["entropy/sep"]


def test_the_entropy_of_a_distribution_is_in_nats():
    assert entropy(torch.tensor([0.5, 0.25, 0.25, 0.0])) == pytest.approx(1.5 * math.log(2))


def test_mutual_information_is_that_of_the_gates_and_not_of_the_visits():
    def figure(count_GE: list[list[float]], probability_GE: list[list[float]]) -> float:
        columns = [torch.tensor(count_GE), torch.tensor(probability_GE), *[torch.zeros(2, 2)] * 2]
        table = RoutingTable(torch.ones(2), *columns, torch.zeros(2))
        return layer_figures(table, ["asr", "sep"])["mutual_information"]

    apart, alike = [[1.0, 0.0], [0.0, 1.0]], [[0.5, 0.5], [0.5, 0.5]]
    assert figure(alike, apart) == pytest.approx(math.log(2), abs=1e-6)
    assert figure(apart, alike) == pytest.approx(0, abs=1e-6)
