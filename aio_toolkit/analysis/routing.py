"""Which experts serve which task: measured on a split, as figures, as a table and as a plot.

Letters: G tasks, E experts.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from aio_toolkit.data.batching import fixed_batches
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.inputs import read_inputs
from aio_toolkit.decoding.read import read_batch
from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path, write_json
from aio_toolkit.models.aio import AioModel
from aio_toolkit.models.checkpoint import MODEL, LoadedAio, load_aio
from aio_toolkit.moe.base import RoutingTable, Tables
from aio_toolkit.moe.figures import layer_figures
from aio_toolkit.progress import progress
from aio_toolkit.tables import markdown_table
from aio_toolkit.tasks import Task

# Audio of a batch, padding included.
SECONDS_PER_BATCH = 60.0
LEGEND = "Share of each task's visits that each expert gets, in %."


def analyse_routing(model_dir: Path, data: Path, tasks: Mapping[str, Task], out: Path) -> str:
    """Stage 7: measure and write the routing of a model; a line that says so where it is dense.

    Args:
        model_dir: folder of stage 4.
        data: data dir to route.
        tasks: all tasks that its utterances may have, by name.
        out: folder for `ROUTING.md`, `routing.json` and `routing.png`.

    Raises:
        AioError: there is no such model, or the data dir has none of its tasks.
    """
    loaded = load_aio(model_dir / MODEL)
    # A recipe runs this stage whatever model it has trained.
    if not loaded.model.backbone.moe_layers():
        return f"{model_dir} is dense: it has no experts to look at.\n"
    tables = route_data_dir(loaded, data, tasks)
    names = [task.name for task in loaded.model.tasks]
    return write_routing(tables, names, out)


def route_data_dir(loaded: LoadedAio, data: Path, tasks: Mapping[str, Task]) -> Tables:
    """Routing tables of a model over the utterances of a data dir.

    Tasks of the model that the data dir lacks have no tokens in the tables.

    Raises:
        AioError: it has none of the tasks.
    """
    own = {task.name: task for task in loaded.model.tasks}
    found = read_inputs(data, {**tasks, **own}, loaded.codec.sample_rate)
    utterances = [utterance for utterance in found if utterance.task.name in own]
    if not utterances:
        raise AioError(f"{data} has no utterance of the model's tasks: {', '.join(own)}.")
    return measure_routing(loaded.model, utterances)


@torch.inference_mode()
def measure_routing(model: AioModel, utterances: Sequence[Utterance]) -> Tables:
    """Routing tables of every MoE layer over utterances, in evaluation mode."""
    was_training = model.training
    model.eval()
    # Padded rows would change no table, but cost time: similar lengths go together.
    tasks = [utterance.task.name for utterance in utterances]
    lengths = [utterance.num_samples for utterance in utterances]
    budget = int(SECONDS_PER_BATCH * model.encoder.grid.sample_rate)
    batches = fixed_batches(tasks, lengths, budget)

    total: Tables = {}
    for members in progress(batches, "routing", unit="batch"):
        batch = read_batch(model, [utterances[index] for index in members])
        for name, table in model.encode(batch).tables.items():
            if name in total:
                table = total[name] + table
            total[name] = table
    model.train(was_training)
    return total


def format_routing(tables: Tables, tasks: Sequence[str]) -> str:
    """Markdown: for every layer the load of each expert by task, in %, and the layer's figures.

    Args:
        tables: routing by layer.
        tasks: names of the tasks, in the order of the tables' rows; those without tokens are left
            out.

    >>> count_GE = torch.tensor([[6.0, 2.0]])
    >>> table = RoutingTable(torch.tensor([8.0]), *[count_GE] * 4, torch.zeros(1))
    >>> print(format_routing({"block1.feed_forward": table}, ["asr"]), end="")
    ## block1.feed_forward
    <BLANKLINE>
    | task |  0 |  1 | entropy |
    | ---- | -: | -: | ------: |
    | asr  | 75 | 25 |    0.56 |
    <BLANKLINE>
    Mutual information 0.00 nats, effective experts 1.8 of 2, dead 0.
    """
    sections = []
    for name, table in tables.items():
        section = _format_layer(name, table, tasks)
        sections.append(section)
    return "\n".join(sections)


def _format_layer(name: str, table: RoutingTable, tasks: Sequence[str]) -> str:
    figures = layer_figures(table, tasks)
    load_GE = table.load_GE()
    num_experts = load_GE.shape[1]
    rows = []
    for task, load_E in zip(tasks, load_GE.tolist(), strict=True):
        # Only tasks that the data has stand among the figures.
        entropy = figures.get(f"entropy/{task}")
        if entropy is not None:
            shares = [f"{100 * share:.0f}" for share in load_E]
            rows.append([task, *shares, f"{entropy:.2f}"])

    experts = [str(expert) for expert in range(num_experts)]
    markdown = markdown_table(["task", *experts, "entropy"], rows)
    information = figures["mutual_information"]
    effective, dead = figures["effective_experts"], figures["dead_experts"]
    summary = [
        f"Mutual information {information:.2f} nats",
        f"effective experts {effective:.1f} of {num_experts}",
        f"dead {dead:.0f}",
    ]
    listed = ", ".join(summary)
    return f"## {name}\n\n{markdown}\n{listed}.\n"


def plot_routing(tables: Tables, tasks: Sequence[str], path: Path) -> None:
    """Task by expert, a panel a layer, dark where a task's frames go."""
    # Slow to import. `Figure` needs no display, unlike pyplot.
    from matplotlib.figure import Figure

    widths = [table.count_GE.shape[1] for table in tables.values()]
    # Inches: cells of one size, beside the names of tasks and below those of layers.
    width = 1.5 + 0.28 * sum(widths)
    height = 0.8 + 0.35 * len(tasks)
    figure = Figure(figsize=(width, height))
    grid = figure.subplots(
        1,
        len(tables),
        sharey=True,
        squeeze=False,
        width_ratios=widths,
    )
    axes = list(grid[0])
    for axis, (name, table) in zip(axes, tables.items(), strict=True):
        load_GE = table.load_GE().cpu()
        # One scale for all panels; a task that visits two experts a token gives each half at most.
        image = axis.imshow(load_GE, aspect="auto", cmap="Blues", vmin=0, vmax=0.5)
        every_second = range(0, load_GE.shape[1], 2)
        axis.set(title=name, xlabel="expert", xticks=every_second)
        axis.set_yticks(range(len(tasks)), tasks)
    figure.colorbar(
        image,
        ax=axes,
        label="share of visits",
        fraction=0.03,
        pad=0.02,
    )
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150, bbox_inches="tight")


def write_routing(tables: Tables, tasks: Sequence[str], out: Path) -> str:
    """Write `routing.png`, `ROUTING.md` and `routing.json` to a folder; return the Markdown."""
    text = format_routing(tables, tasks)
    with atomic_path(out / "ROUTING.md") as temporary:
        temporary.write_text(f"{LEGEND}\n\n{text}", encoding="utf-8")

    content = {}
    for name, table in tables.items():
        load_GE = table.load_GE().tolist()
        by_task = dict(zip(tasks, load_GE, strict=True))
        figures = layer_figures(table, tasks)
        content[name] = {"load": by_task, **figures}
    write_json(out / "routing.json", content)
    plot_routing(tables, tasks, out / "routing.png")
    return text
