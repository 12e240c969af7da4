"""The routing monitor: figures of known routings, and an alarm on a forced collapse."""

import math
import warnings

import pytest
import torch
from tiny import routing_table as table

from aio_toolkit.training.monitor import PATIENCE, CollapseMonitor, RoutingMonitor

COLLAPSED = [[50.0, 50.0, 0.0, 0.0], [50.0, 50.0, 0.0, 0.0]]
SPECIALISED = [[50.0, 50.0, 0.0, 0.0], [0.0, 0.0, 50.0, 50.0]]


def test_figures_of_a_specialised_layer():
    figures = RoutingMonitor(["asr", "sep"], {"layer": 2}).watch(0, {"layer": table(SPECIALISED)})
    assert figures["layer/effective_experts"] == pytest.approx(4)
    assert figures["layer/dead_experts"] == 0
    assert figures["layer/mutual_information"] == pytest.approx(math.log(2), abs=1e-6)
    assert figures["layer/entropy/asr"] == pytest.approx(math.log(2))


def test_dead_experts_are_counted_and_absent_tasks_left_out():
    loads = {"layer": table([[99.0, 1.0, 0.0], [0.0] * 3])}
    figures = RoutingMonitor(["asr", "sep"], {"layer": 1}).watch(0, loads)
    assert figures["layer/dead_experts"] == 2
    assert "layer/entropy/sep" not in figures


@pytest.mark.parametrize(("idle", "dead"), [(1.24, 1), (1.26, 0)])
def test_an_expert_is_dead_below_a_twentieth_of_an_even_load(idle, dead):
    busy = (100 - idle) / 3
    loads = {"layer": table([[idle, busy, busy, busy]])}
    figures = RoutingMonitor(["asr"], {"layer": 1}).watch(0, loads)
    assert figures["layer/dead_experts"] == dead


def test_tasks_weigh_alike_however_many_tokens_they_have():
    loads = {"layer": table([[900.0, 0.0], [0.0, 1.0]])}
    figures = RoutingMonitor(["asr", "sep"], {"layer": 1}).watch(0, loads)
    assert figures["layer/effective_experts"] == pytest.approx(2)
    assert figures["layer/mutual_information"] == pytest.approx(math.log(2), abs=1e-6)


def test_effective_experts_are_the_exponential_of_the_entropy_of_the_load():
    figures = RoutingMonitor(["asr"], {"layer": 1}).watch(0, {"layer": table([[75.0, 25.0, 0.0]])})
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert figures["layer/entropy/asr"] == pytest.approx(entropy)
    assert figures["layer/effective_experts"] == pytest.approx(math.exp(entropy))


def alarmed(load_E: list[float], visits: int) -> bool:
    """Whether a layer of one task that goes on with this load is told of."""
    monitor = RoutingMonitor(["asr"], {"layer": visits})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for step in range(PATIENCE):
            monitor.watch(step, {"layer": table([load_E])})
    return len(caught) == 1


@pytest.mark.parametrize(
    ("load_E", "effective", "collapsed"),
    [([49.0, 49.0, 2.0], 2.18, True), ([48.7, 48.7, 2.6], 2.22, False)],
)
def test_a_layer_has_collapsed_up_to_a_tenth_more_experts_than_a_token_visits(
    load_E, effective, collapsed
):
    figures = RoutingMonitor(["asr"], {"layer": 2}).watch(0, {"layer": table([load_E])})
    assert figures["layer/effective_experts"] == pytest.approx(effective, abs=0.01)
    assert alarmed(load_E, visits=2) == collapsed


def test_each_layer_collapses_on_its_own():
    monitor = RoutingMonitor(["asr", "sep"], {"first": 2, "second": 2})
    tables = {"first": table(SPECIALISED), "second": table(COLLAPSED)}
    with pytest.warns(UserWarning) as caught:
        for step in range(2 * PATIENCE):
            monitor.watch(step, tables)
    assert ["routing of second" in str(warning.message) for warning in caught] == [True]


def test_a_collapse_is_told_once_and_only_when_it_lasts():
    monitor = RoutingMonitor(["asr", "sep"], {"layer": 2})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for step in range(PATIENCE - 1):
            monitor.watch(step, {"layer": table(COLLAPSED)})
        monitor.watch(0, {"layer": table(SPECIALISED)})
        for step in range(PATIENCE - 1):
            monitor.watch(step, {"layer": table(COLLAPSED)})
    message = (
        r"routing of layer has collapsed: .* visited 2.0 of 4 experts. Raise the weight of moe"
    )
    with pytest.warns(UserWarning, match=message):
        monitor.watch(99, {"layer": table(COLLAPSED)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        monitor.watch(100, {"layer": table(COLLAPSED)})


def test_no_alarm_where_every_token_visits_all_experts():
    monitor = RoutingMonitor(["asr"], {"layer": 4})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for step in range(2 * PATIENCE):
            monitor.watch(step, {"layer": table([[25.0] * 4])})


def test_a_collapsing_encoder_is_told_once_and_a_healthy_one_is_not():
    monitor = CollapseMonitor()
    healthy = {"embedding_std": torch.tensor(0.8), "label_usage": torch.tensor(0.9)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for step in range(2 * PATIENCE):
            monitor.watch(step, healthy)
        for step in range(PATIENCE - 1):
            monitor.watch(step, {"embedding_std": torch.tensor(0.01)})
    message = "the encoder is collapsing: embedding_std has been 0.010, below 0.05"
    with pytest.warns(UserWarning, match=message):
        monitor.watch(60, {"embedding_std": torch.tensor(0.01)})


LEAST = {"embedding_std": 0.05, "target_std": 0.05, "prediction_std": 0.01, "label_usage": 0.1}


@pytest.mark.parametrize(("name", "least"), LEAST.items())
def test_each_figure_has_its_own_least_healthy_value(name, least):
    monitor = CollapseMonitor()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for step in range(2 * PATIENCE):
            monitor.watch(step, {name: torch.tensor(least * 1.01)})
        for step in range(PATIENCE - 1):
            monitor.watch(step, {name: torch.tensor(least * 0.99)})
    with pytest.warns(UserWarning, match=f"{name} has been"):
        monitor.watch(99, {name: torch.tensor(least * 0.99)})


def test_an_encoder_that_recovers_is_given_its_whole_patience_again():
    monitor = CollapseMonitor()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            for step in range(PATIENCE - 1):
                monitor.watch(step, {"embedding_std": torch.tensor(0.01)})
            monitor.watch(0, {"embedding_std": torch.tensor(0.5)})
