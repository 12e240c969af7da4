"""Routing figures of tables made by hand, and the measurement against one utterance at a time."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny import TASKS, tiny_model

from aio_toolkit.analysis.routing import (
    entropy,
    format_routing,
    layer_figures,
    measure_routing,
    write_routing,
)
from aio_toolkit.moe.base import RoutingTable

LN2 = math.log(2)


def make_table(count_GE: list[list[float]], probability_GE=None, tokens_G=None) -> RoutingTable:
    """Each token visits two experts, unless told otherwise."""
    count_GE = torch.tensor(count_GE)
    tokens_G = count_GE.sum(1) / 2 if tokens_G is None else torch.tensor(tokens_G)
    probability_GE = count_GE if probability_GE is None else torch.tensor(probability_GE)
    zero_GE = torch.zeros_like(count_GE)
    return RoutingTable(tokens_G, count_GE, probability_GE, zero_GE, zero_GE, tokens_G)


def test_entropy_is_that_of_the_formula():
    assert entropy(torch.tensor([0.5, 0.25, 0.25, 0.0])) == pytest.approx(1.5 * LN2)


# Task 0 spreads over two experts, task 1 over four, task 2 has no token.
TABLE = make_table([[6.0, 6, 0, 0, 0], [5.0, 5, 5, 5, 0], [0.0] * 5])
LOAD = [[0.5, 0.5, 0, 0, 0], [0.25, 0.25, 0.25, 0.25, 0], [0] * 5]


def test_tasks_have_the_entropy_of_their_load_and_absent_ones_have_none():
    figures = layer_figures(TABLE, ["asr", "st", "sep"])
    assert figures["entropy/asr"] == pytest.approx(LN2)
    assert figures["entropy/st"] == pytest.approx(2 * LN2)
    assert "entropy/sep" not in figures


def test_experts_in_effect_are_those_of_the_mean_load_of_tasks_equally_weighted():
    mean_E = [0.375, 0.375, 0.125, 0.125]
    want = math.exp(-sum(share * math.log(share) for share in mean_E))
    figures = layer_figures(TABLE, ["asr", "st", "sep"])
    assert figures["effective_experts"] == pytest.approx(want)


@pytest.mark.parametrize(("count", "dead"), [(1, 2), (3, 1)])
def test_an_expert_below_a_twentieth_of_an_even_load_is_dead(count, dead):
    """Of 200 visits to five experts an even load is 40, a twentieth of that is 2."""
    table = make_table([[100.0 - count, 50, 50, count, 0]])
    assert layer_figures(table, ["asr"])["dead_experts"] == dead


def test_mutual_information_is_that_of_the_gates_and_not_of_the_visits():
    apart = make_table([[1.0, 1], [1.0, 1]], [[1.0, 0], [0.0, 1]], [1.0, 1])
    assert layer_figures(apart, TASKS)["mutual_information"] == pytest.approx(LN2, abs=1e-6)
    alike = make_table([[2.0, 0], [0.0, 2]], [[0.5, 0.5], [0.5, 0.5]], [1.0, 1])
    assert layer_figures(alike, TASKS)["mutual_information"] == pytest.approx(0, abs=1e-6)


# --- text and files ---


def test_the_table_shows_the_load_in_per_cent_and_the_figures_below():
    text = format_routing({"block1.feed_forward": TABLE}, ["asr", "st", "sep"])
    lines = text.splitlines()
    rows = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    header, _, *cells = [[cell.strip() for cell in row] for row in rows]
    assert header == ["task", "0", "1", "2", "3", "4", "entropy"]
    assert cells == [
        ["asr", "50", "50", "0", "0", "0", "0.69"],
        ["st", "25", "25", "25", "25", "0", "1.39"],
    ]
    assert lines[0] == "## block1.feed_forward"
    assert lines[-1].endswith("effective experts 3.5 of 5, dead 1.")


def test_loads_and_figures_are_written_for_machines(tmp_path):
    tables = {"block1.feed_forward": TABLE}
    tasks = ["asr", "st", "sep"]
    text = write_routing(tables, tasks, tmp_path)
    assert text in (tmp_path / "ROUTING.md").read_text()
    assert (tmp_path / "routing.png").read_bytes()[:4] == b"\x89PNG"
    (content,) = json.loads((tmp_path / "routing.json").read_text()).values()
    assert content.pop("load") == dict(zip(tasks, LOAD, strict=True))
    assert content == pytest.approx(layer_figures(TABLE, tasks))


# --- measurement ---


def make_dataset() -> SimpleNamespace:
    """Utterances of two tasks in random order, of different length."""
    rng = np.random.default_rng(0)
    sizes = {"sep-0": 13, "asr-0": 20, "asr-1": 7, "sep-1": 9, "asr-2": 16}
    feats = {key: rng.standard_normal((T, 12)).astype(np.float32) for key, T in sizes.items()}
    utterances = [SimpleNamespace(id=key, task=key.split("-")[0]) for key in sizes]
    return SimpleNamespace(utterances=utterances, num_frames=list(sizes.values()), feats=feats)


@torch.no_grad()
def tables_one_by_one(model, dataset) -> dict[str, RoutingTable]:
    total = {}
    for utterance in dataset.utterances:
        feats_1TF = torch.from_numpy(dataset.feats[utterance.id])[None]
        task_1 = torch.tensor([TASKS.index(utterance.task)])
        _, tables = model.encode(feats_1TF, torch.tensor([feats_1TF.shape[1]]), task_1)
        for name, table in tables.items():
            total[name] = total[name] + table if name in total else table
    return total


@pytest.mark.parametrize("frames_per_batch", [1, 40, 3000])
def test_tables_are_the_sums_over_all_utterances(vocabulary, frames_per_batch):
    model, dataset = tiny_model(vocabulary).eval(), make_dataset()
    want = tables_one_by_one(model, dataset)
    found = measure_routing(model, dataset, frames_per_batch)
    assert found.keys() == want.keys()
    for name, table in found.items():
        assert table.tokens_G.tolist() == [20 + 7 + 16, 13 + 9]
        torch.testing.assert_close(table.count_GE, want[name].count_GE)
        torch.testing.assert_close(table.probability_GE, want[name].probability_GE)


def test_routing_is_measured_in_evaluation_mode_which_a_training_model_leaves_again(vocabulary):
    model, dataset = tiny_model(vocabulary).train(), make_dataset()
    (found, *_), (again, *_) = (measure_routing(model, dataset).values() for _ in range(2))
    assert model.training
    # The router's noise, which training adds, would make them differ.
    assert torch.equal(found.count_GE, again.count_GE)
    want = next(iter(tables_one_by_one(model.eval(), dataset).values()))
    torch.testing.assert_close(found.count_GE, want.count_GE)
    measure_routing(model, dataset)
    assert not model.training
