"""Which experts serve which task: measured on a data dir, as figures, as a table and as a plot.

Letters: G tasks, E experts.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from aio_toolkit.data.batch import Example, collate
from aio_toolkit.data.dataset import DumpDataset
from aio_toolkit.data.sampler import fixed_batches
from aio_toolkit.files import atomic_path, write_json
from aio_toolkit.models.aio import AioModel
from aio_toolkit.moe.balance import mutual_information
from aio_toolkit.moe.base import RoutingTable, Tables
from aio_toolkit.progress import progress
from aio_toolkit.scoring.report import markdown_table

# Share of an even load below which an expert counts as dead.
DEAD = 0.05


@torch.inference_mode()
def measure_routing(model: AioModel, dataset: DumpDataset, frames_per_batch: int = 3000) -> Tables:
    """Routing tables of every MoE layer over all utterances of a dataset, in evaluation mode."""
    was_training = model.training
    model.eval()
    total: Tables = {}
    tasks = [utterance.task for utterance in dataset.utterances]
    batches = fixed_batches(tasks, dataset.num_frames, frames_per_batch)
    for batch in progress(batches, "routing"):
        utterances = [dataset.utterances[index] for index in batch]
        inputs = collate([Example(u.id, u.task, dataset.feats[u.id]) for u in utterances], model.tasks)
        _, tables = model.encode(inputs.feats_BTF, inputs.lengths_B, inputs.task_B)
        total = {name: total[name] + table if total else table for name, table in tables.items()}
    model.train(was_training)
    return total


def layer_figures(table: RoutingTable, tasks: Sequence[str]) -> dict[str, float]:
    """What one layer's routing amounts to; tasks without tokens are left out.

    `mutual_information` in nats of gates and tasks; `effective_experts` is the exponential of the entropy of the load,
    tasks equally weighted; `dead_experts` have less than 5 % of an even load; `entropy/<task>` in nats of a task's
    load.
    """
    present_G = table.tokens_G > 0
    load_GE = table.load_GE()
    mean_E = load_GE[present_G].mean(0)
    figures = {
        "mutual_information": mutual_information(table.detach()).item(),
        "effective_experts": math.exp(entropy(mean_E)),
        "dead_experts": float((mean_E < DEAD / len(mean_E)).sum()),
    }
    return figures | {f"entropy/{task}": entropy(load_GE[g]) for g, task in enumerate(tasks) if present_G[g]}


def entropy(share_E: torch.Tensor) -> float:
    """Entropy in nats of a distribution."""
    return torch.special.entr(share_E).sum().item()


def format_routing(tables: Tables, tasks: Sequence[str]) -> str:
    """Markdown: for every layer the load of each expert by task, in per cent, and the layer's figures."""
    parts = []
    for name, table in tables.items():
        figures, load_GE = layer_figures(table, tasks), table.load_GE()
        header = ["task", *map(str, range(load_GE.shape[1])), "entropy"]
        rows = [
            [task, *(f"{100 * share:.0f}" for share in load_GE[g].tolist()), f"{figures[f'entropy/{task}']:.2f}"]
            for g, task in enumerate(tasks)
            if f"entropy/{task}" in figures
        ]
        parts.append(
            f"## {name}\n\n{markdown_table(header, rows)}\n"
            f"Mutual information {figures['mutual_information']:.2f} nats, effective experts "
            f"{figures['effective_experts']:.1f} of {load_GE.shape[1]}, dead {figures['dead_experts']:.0f}.\n"
        )
    return "\n".join(parts)


def plot_routing(tables: Tables, tasks: Sequence[str], path: Path) -> None:
    """Task by expert, one panel a layer, dark where a task's frames go."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.5 + 0.28 * sum(t.count_GE.shape[1] for t in tables.values()), 0.8 + 0.35 * len(tasks)))
    widths = [table.count_GE.shape[1] for table in tables.values()]
    axes = figure.subplots(1, len(tables), sharey=True, squeeze=False, width_ratios=widths)[0]
    for axis, (name, table) in zip(axes, tables.items(), strict=True):
        image = axis.imshow(table.load_GE().cpu(), aspect="auto", cmap="Blues", vmin=0, vmax=0.5)
        axis.set(title=name, xlabel="expert", xticks=range(0, table.count_GE.shape[1], 2))
        axis.set_yticks(range(len(tasks)), tasks)
    figure.colorbar(image, ax=list(axes), label="share of visits", fraction=0.03, pad=0.02)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150, bbox_inches="tight")


def write_routing(tables: Tables, tasks: Sequence[str], out: Path) -> str:
    """Write `routing.png`, `ROUTING.md` and `routing.json` to a folder; return the Markdown."""
    text = format_routing(tables, tasks)
    with atomic_path(out / "ROUTING.md") as temporary:
        temporary.write_text(f"Share of each task's visits that each expert gets, in %.\n\n{text}", encoding="utf-8")
    content = {
        name: {"load": dict(zip(tasks, table.load_GE().tolist(), strict=True)), **layer_figures(table, tasks)}
        for name, table in tables.items()
    }
    write_json(out / "routing.json", content)
    plot_routing(tables, tasks, out / "routing.png")
    return text
