"""Which experts serve which task: measured on a split, as figures, as a table and as a plot.

Letters: G tasks, E experts.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from aio_toolkit.data.sampler import fixed_batches
from aio_toolkit.dump.split import DumpDataset
from aio_toolkit.files import atomic_path, write_json
from aio_toolkit.models.aio import AioModel
from aio_toolkit.models.batch import Example, collate
from aio_toolkit.moe.base import RoutingTable, Tables
from aio_toolkit.moe.figures import layer_figures
from aio_toolkit.progress import progress
from aio_toolkit.tables import markdown_table

# Frames of a batch, padding included.
FRAMES_PER_BATCH = 3000
LEGEND = "Share of each task's visits that each expert gets, in %."


@torch.inference_mode()
def measure_routing(model: AioModel, dataset: DumpDataset) -> Tables:
    """Routing tables of every MoE layer over all utterances of a dataset, in evaluation mode."""
    was_training = model.training
    model.eval()
    total: Tables = {}
    tasks = [utterance.task.name for utterance in dataset.utterances]
    batches = fixed_batches(tasks, dataset.num_frames, FRAMES_PER_BATCH)
    for members in progress(batches, "routing"):
        utterances = [dataset.utterances[index] for index in members]
        examples = [Example(u.id, u.task, dataset.feats[u.id]) for u in utterances]
        batch = collate(examples, model.tasks)
        _, tables = model.encode(batch.feats_BTF, batch.lengths_B, batch.task_B)
        for name, table in tables.items():
            total[name] = total[name] + table if name in total else table
    model.train(was_training)
    return total


def format_routing(tables: Tables, tasks: Sequence[str]) -> str:
    """Markdown: for every layer the load of each expert by task, in per cent, and the layer's
    figures."""
    return "\n".join(_format_layer(name, table, tasks) for name, table in tables.items())


def _format_layer(name: str, table: RoutingTable, tasks: Sequence[str]) -> str:
    figures = layer_figures(table, tasks)
    load_GE = table.load_GE()
    num_experts = load_GE.shape[1]
    rows = []
    for g, task in enumerate(tasks):
        # Only tasks that the data has stand among the figures.
        entropy = figures.get(f"entropy/{task}")
        if entropy is not None:
            shares = [f"{100 * share:.0f}" for share in load_GE[g].tolist()]
            rows.append([task, *shares, f"{entropy:.2f}"])
    header = ["task", *map(str, range(num_experts)), "entropy"]
    summary = (
        f"Mutual information {figures['mutual_information']:.2f} nats, effective experts "
        f"{figures['effective_experts']:.1f} of {num_experts}, dead {figures['dead_experts']:.0f}."
    )
    return f"## {name}\n\n{markdown_table(header, rows)}\n{summary}\n"


def plot_routing(tables: Tables, tasks: Sequence[str], path: Path) -> None:
    """Task by expert, one panel a layer, dark where a task's frames go."""
    from matplotlib.figure import Figure

    widths = [table.count_GE.shape[1] for table in tables.values()]
    figure = Figure(figsize=(1.5 + 0.28 * sum(widths), 0.8 + 0.35 * len(tasks)))
    grid = figure.subplots(1, len(tables), sharey=True, squeeze=False, width_ratios=widths)
    axes = grid[0]
    for axis, (name, table) in zip(axes, tables.items(), strict=True):
        load = table.load_GE().cpu()
        image = axis.imshow(load, aspect="auto", cmap="Blues", vmin=0, vmax=0.5)
        axis.set(title=name, xlabel="expert", xticks=range(0, load.shape[1], 2))
        axis.set_yticks(range(len(tasks)), tasks)
    figure.colorbar(image, ax=list(axes), label="share of visits", fraction=0.03, pad=0.02)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150, bbox_inches="tight")


def write_routing(tables: Tables, tasks: Sequence[str], out: Path) -> str:
    """Write `routing.png`, `ROUTING.md` and `routing.json` to a folder; return the Markdown."""
    text = format_routing(tables, tasks)
    with atomic_path(out / "ROUTING.md") as temporary:
        temporary.write_text(f"{LEGEND}\n\n{text}", encoding="utf-8")
    content = {}
    for name, table in tables.items():
        load = dict(zip(tasks, table.load_GE().tolist(), strict=True))
        content[name] = {"load": load, **layer_figures(table, tasks)}
    write_json(out / "routing.json", content)
    plot_routing(tables, tasks, out / "routing.png")
    return text


def show_routing(model_dir: Path, model: AioModel, dataset: DumpDataset, out: Path) -> str:
    """Measure and write the routing of a model; a line that says so where it is dense."""
    if not model.backbone.moe_layers():
        return f"{model_dir} is dense: it has no experts to look at.\n"
    tables = measure_routing(model, dataset)
    return write_routing(tables, [task.name for task in model.tasks], out)
