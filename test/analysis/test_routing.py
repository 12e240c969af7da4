"""Routing on a split against one utterance at a time, and the report of tables made by hand."""

import json
import math
import sys
from pathlib import Path

import pytest
import torch
from markdown import cells_of
from tiny import (
    ALL,
    HOP,
    randomise_gates,
    save_tiny,
    tiny_model,
    tiny_moe,
    utterance,
    with_attention_experts,
    with_waves,
    write_dump,
)

from aio_toolkit.analysis import routing
from aio_toolkit.analysis.routing import (
    analyse_routing,
    format_routing,
    measure_routing,
    plot_routing,
    route_data_dir,
    write_routing,
)
from aio_toolkit.bin import routing as command
from aio_toolkit.data.datadir import Utterance, read_data_dir
from aio_toolkit.decoding.read import read_batch
from aio_toolkit.errors import AioError
from aio_toolkit.models.aio import AioModel
from aio_toolkit.models.checkpoint import MODEL, LoadedAio, load_aio
from aio_toolkit.moe.base import RoutingTable
from aio_toolkit.moe.figures import layer_figures

LN2 = math.log(2)


def make_table(count_GE: list[list[float]]) -> RoutingTable:
    """Each token visits two experts."""
    count_GE = torch.tensor(count_GE)
    tokens_G = count_GE.sum(1) / 2
    zero_GE = torch.zeros_like(count_GE)
    return RoutingTable(tokens_G, count_GE, count_GE, zero_GE, zero_GE, tokens_G)


# Task 0 spreads over two experts, task 1 over four, task 2 has no token.
TABLE = make_table([[6.0, 6, 0, 0, 0], [5.0, 5, 5, 5, 0], [0.0] * 5])
LOAD = [[0.5, 0.5, 0, 0, 0], [0.25, 0.25, 0.25, 0.25, 0], [0] * 5]
NAMES = ["asr", "st", "sep"]


# --- text and files ---


def test_the_table_shows_the_load_in_per_cent_and_the_figures_below():
    text = format_routing({"block1.feed_forward": TABLE}, NAMES)
    header, *cells = cells_of(text)
    assert header == ["task", "0", "1", "2", "3", "4", "entropy"]
    assert cells == [
        ["asr", "50", "50", "0", "0", "0", "0.69"],
        ["st", "25", "25", "25", "25", "0", "1.39"],
    ]
    lines = text.splitlines()
    assert lines[0] == "## block1.feed_forward"
    assert lines[-1].endswith("effective experts 3.5 of 5, dead 1.")


def test_every_layer_has_a_section_of_its_own():
    text = format_routing({"block0.attention": TABLE, "block1.feed_forward": TABLE}, NAMES)
    titles = [line for line in text.splitlines() if line.startswith("#")]
    assert titles == ["## block0.attention", "## block1.feed_forward"]


def test_loads_and_figures_are_written_for_machines(tmp_path):
    text = write_routing({"block1.feed_forward": TABLE}, NAMES, tmp_path)
    assert text in (tmp_path / "ROUTING.md").read_text()
    assert (tmp_path / "routing.png").read_bytes()[:4] == b"\x89PNG"
    (content,) = json.loads((tmp_path / "routing.json").read_text()).values()
    assert content.pop("load") == dict(zip(NAMES, LOAD, strict=True))
    assert content == pytest.approx(layer_figures(TABLE, NAMES))


def test_the_plot_has_a_panel_a_layer_with_tasks_and_experts_in_order(monkeypatch, tmp_path):
    from matplotlib.figure import Figure

    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))
    small = make_table([[2.0, 2], [2.0, 2], [4.0, 0]])
    plot_routing({"block0.attention": small, "block1.feed_forward": TABLE}, NAMES, tmp_path / "a")
    first, second, _ = figures[0].axes  # the last is the colour bar
    assert [axis.get_title() for axis in (first, second)] == [
        "block0.attention",
        "block1.feed_forward",
    ]
    assert second.images[0].get_array().tolist() == LOAD
    assert [label.get_text() for label in first.get_yticklabels()] == NAMES


# --- measurement ---


def make_utterances(folder: Path) -> list[Utterance]:
    """Utterances of two tasks in random order, of different length."""
    sizes = {"sep-0": 13, "asr-0": 20, "asr-1": 7, "sep-1": 9, "asr-2": 16}
    made = [utterance(key.split("-")[0], key, frames) for key, frames in sizes.items()]
    return [with_waves(u, folder) for u in made]


@torch.no_grad()
def tables_one_by_one(model: AioModel, utterances) -> dict[str, RoutingTable]:
    total = {}
    for u in utterances:
        for name, table in model.encode(read_batch(model, [u])).tables.items():
            total[name] = total[name] + table if name in total else table
    return total


@pytest.mark.parametrize("seconds_per_batch", [0.01, 0.8, 60])
def test_tables_are_the_sums_over_all_utterances(
    vocabulary, monkeypatch, tmp_path, seconds_per_batch
):
    monkeypatch.setattr(routing, "SECONDS_PER_BATCH", seconds_per_batch)
    model = tiny_model(vocabulary, with_attention_experts()).eval()
    utterances = make_utterances(tmp_path)
    randomise_gates(model)
    want = tables_one_by_one(model, utterances)
    found = measure_routing(model, utterances)
    assert found.keys() == want.keys()
    for name, table in found.items():
        assert table.tokens_G.tolist() == [20 + 7 + 16, 13 + 9]
        torch.testing.assert_close(table.count_GE, want[name].count_GE)
        torch.testing.assert_close(table.probability_GE, want[name].probability_GE)


def test_routing_is_measured_in_evaluation_mode_which_a_training_model_leaves_again(
    vocabulary, tmp_path
):
    model, utterances = tiny_model(vocabulary).train(), make_utterances(tmp_path)
    (found, *_), (again, *_) = (measure_routing(model, utterances).values() for _ in range(2))
    assert model.training
    # The router's noise, which training adds, would make them differ.
    assert torch.equal(found.count_GE, again.count_GE)
    want = next(iter(tables_one_by_one(model.eval(), utterances).values()))
    torch.testing.assert_close(found.count_GE, want.count_GE)
    measure_routing(model, utterances)
    assert not model.training


# --- a data dir ---


def data_of(root: Path, tasks: tuple[str, ...] = ("asr", "sep")) -> Path:
    write_dump(root, splits=("dev",), num=2, tasks=tasks)
    return root / "data" / "dev"


def save_model(root: Path, vocabulary, **sections) -> LoadedAio:
    model = tiny_model(vocabulary, tiny_moe(**sections)).eval()
    save_tiny(root / MODEL, model)
    return load_aio(root / MODEL)


def test_all_tasks_of_the_model_are_routed(vocabulary, tmp_path):
    loaded, data = save_model(tmp_path, vocabulary), data_of(tmp_path)
    (table,) = route_data_dir(loaded, data, ALL).values()
    tokens = dict.fromkeys(["asr", "sep"], 0)
    for u in read_data_dir(data, ALL):
        tokens[u.task.name] += u.num_samples // HOP
    assert table.tokens_G.tolist() == list(tokens.values())


def test_a_task_that_the_data_lacks_has_no_tokens(vocabulary, tmp_path):
    loaded, data = save_model(tmp_path, vocabulary), data_of(tmp_path, ("sep",))
    (table,) = route_data_dir(loaded, data, ALL).values()
    assert table.tokens_G[0] == 0 and table.tokens_G[1] > 0


def test_a_task_that_the_model_lacks_is_passed_over(vocabulary, tmp_path):
    loaded = save_model(tmp_path, vocabulary)
    (alone,) = route_data_dir(loaded, data_of(tmp_path / "a", ("sep",)), ALL).values()
    (both,) = route_data_dir(loaded, data_of(tmp_path / "b", ("sep", "music")), ALL).values()
    assert alone.tokens_G[0] == both.tokens_G[0] == 0
    assert both.tokens_G[1] > 0


def test_data_without_any_of_the_tasks_is_refused(vocabulary, tmp_path):
    loaded, data = save_model(tmp_path, vocabulary), data_of(tmp_path, ("music",))
    with pytest.raises(AioError, match="no utterance of the model's tasks: asr, sep"):
        route_data_dir(loaded, data, ALL)


def test_a_dense_model_has_no_routing_and_stage_7_goes_on(vocabulary, tmp_path):
    save_model(tmp_path, vocabulary, feed_forward={"layers": []})
    # The data are not looked at.
    line = analyse_routing(tmp_path, tmp_path / "nowhere", ALL, tmp_path / "out")
    assert "is dense: it has no experts to look at" in line
    assert not (tmp_path / "out").exists()


def test_the_command_prints_what_it_writes(vocabulary, tmp_path, monkeypatch, capsys):
    save_model(tmp_path, vocabulary)
    data = data_of(tmp_path, ("sep",))
    tasks = Path(__file__).parents[2] / "egs/TEMPLATE/conf/tasks.yaml"
    line = f"routing --model {tmp_path} --data {data}"
    line += f" --tasks_config {tasks} --out {tmp_path / 'out'}"
    monkeypatch.setattr(sys, "argv", line.split())
    command.main()
    printed = capsys.readouterr().out
    _, *rows = cells_of(printed)
    assert [row[0] for row in rows] == ["sep"]
    assert printed in (tmp_path / "out" / "ROUTING.md").read_text()
