"""The routing monitor: figures of known routings, and an alarm on a forced collapse."""

import math
import warnings

import pytest
import torch

from aio_toolkit.moe.base import RoutingTable
from aio_toolkit.training.monitor import CollapseMonitor, RoutingMonitor


def table(load_GE) -> RoutingTable:
    load_GE = torch.tensor(load_GE)
    return RoutingTable(
        load_GE.sum(1), load_GE, load_GE, load_GE, load_GE, torch.zeros(len(load_GE))
    )


COLLAPSED = [[50.0, 50.0, 0.0, 0.0], [50.0, 50.0, 0.0, 0.0]]
SPECIALISED = [[50.0, 50.0, 0.0, 0.0], [0.0, 0.0, 50.0, 50.0]]


def test_figures_of_a_specialised_layer():
    figures = RoutingMonitor(["asr", "sep"], {"layer": 2}).watch(0, {"layer": table(SPECIALISED)})
    assert figures["layer/effective_experts"] == pytest.approx(4)
    assert figures["layer/dead_experts"] == 0
    assert figures["layer/mutual_information"] == pytest.approx(math.log(2), abs=1e-6)
    assert figures["layer/entropy/asr"] == pytest.approx(math.log(2))


def test_dead_experts_are_counted_and_absent_tasks_left_out():
    figures = RoutingMonitor(["asr", "sep"], {"layer": 1}).watch(
        0, {"layer": table([[99.0, 1.0, 0.0], [0.0] * 3])}
    )
    assert figures["layer/dead_experts"] == 2
    assert "layer/entropy/sep" not in figures


def test_a_collapse_is_told_once_and_only_when_it_lasts():
    monitor = RoutingMonitor(["asr", "sep"], {"layer": 2})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for step in range(monitor.PATIENCE - 1):
            monitor.watch(step, {"layer": table(COLLAPSED)})
        monitor.watch(0, {"layer": table(SPECIALISED)})
        for step in range(monitor.PATIENCE - 1):
            monitor.watch(step, {"layer": table(COLLAPSED)})
    with pytest.warns(
        UserWarning, match=r"routing of layer has collapsed: .* visited 2.0 of 4 experts. Raise moe"
    ):
        monitor.watch(99, {"layer": table(COLLAPSED)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        monitor.watch(100, {"layer": table(COLLAPSED)})


def test_no_alarm_where_every_token_visits_all_experts():
    monitor = RoutingMonitor(["asr"], {"layer": 4})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for step in range(2 * monitor.PATIENCE):
            monitor.watch(step, {"layer": table([[25.0] * 4])})


def test_a_collapsing_encoder_is_told_once_and_a_healthy_one_is_not():
    monitor = CollapseMonitor()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for step in range(2 * monitor.PATIENCE):
            monitor.watch(
                step, {"embedding_std": torch.tensor(0.8), "label_usage": torch.tensor(0.9)}
            )
        for step in range(monitor.PATIENCE - 1):
            monitor.watch(step, {"embedding_std": torch.tensor(0.01)})
    with pytest.warns(
        UserWarning, match="the encoder is collapsing: embedding_std has been 0.010, below 0.05"
    ):
        monitor.watch(60, {"embedding_std": torch.tensor(0.01)})
