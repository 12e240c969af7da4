"""Probes of a pre-trained encoder beside its random twin and log-mel: table, numbers, curves over
layers."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from aio_toolkit.analysis.probe import Extract, Probe, Results
from aio_toolkit.files import atomic_path, write_json
from aio_toolkit.models.checkpoint import LoadedSsl
from aio_toolkit.models.ssl import SslEncoder
from aio_toolkit.scoring.intervals import Interval
from aio_toolkit.tables import interval_cell, markdown_table

LEGEND = """\
Scores of a linear layer on frozen features, with 95 % bootstrap intervals over utterances; the same budget for
all. 0 = the encoder's input, 1 ... = its layers, all = all of them side by side. random = the same encoder
before training, with the same input; log-mel = that part of the input alone."""
# Panels of the plot in a row.
COLUMNS = 4


def contestants(ssl: LoadedSsl, seed: int) -> dict[str, Extract]:
    """The ways to look at features, by name."""
    encoder, provenance = ssl.encoder, ssl.provenance
    torch.manual_seed(seed)
    twin = SslEncoder(ssl.config, len(encoder.mean_F))
    twin.mean_F.copy_(encoder.mean_F)
    twin.std_F.copy_(encoder.std_F)
    found = {"pre-trained": _layers_of(encoder.eval()), "random": _layers_of(twin.eval())}
    if provenance.front_end.log_mel:
        # Latents, where there are any, stand last.
        latents = provenance.front_end.num_latents(provenance.codec.latent_dim)
        num_mel = len(encoder.mean_F) - latents
        found["log-mel"] = lambda feats_TF: [_normalised(encoder, feats_TF)[:, :num_mel]]
    return found


def _normalised(encoder: SslEncoder, feats_TF: np.ndarray) -> torch.Tensor:
    return encoder.normalise(torch.from_numpy(feats_TF))


def _layers_of(encoder: SslEncoder) -> Extract:
    @torch.no_grad()
    def extract(feats_TF: np.ndarray) -> list[torch.Tensor]:
        features_1TF = _normalised(encoder, feats_TF)[None]
        states = encoder(features_1TF, torch.tensor([len(feats_TF)]))
        # Pre-norm layers grow; each is brought to the same scale before they stand side by side.
        scaled = [F.layer_norm(state[0], state.shape[-1:]) for state in states]
        layers = [features_1TF[0], *scaled]
        return [*layers, torch.cat(layers, dim=-1)]

    return extract


def format_probes(probes: Sequence[Probe], results: Results) -> str:
    """Markdown: a row per probe and encoder, a column per layer."""
    num_layers = max(len(scores) for of in results.values() for scores in of.values())
    rows = []
    for probe in probes:
        for name, scores in results[probe.name].items():
            cells = [interval_cell(score) for score in scores]
            # What has no layers stands in the first column alone.
            cells += ["-"] * (num_layers - len(cells))
            rows.append([probe.name, probe.metric, name, *cells])
    return markdown_table(["probe", "metric", "features", *_layer_names(num_layers)], rows)


def _layer_names(num_layers: int) -> list[str]:
    return [*map(str, range(num_layers - 1)), "all"]


def plot_probes(probes: Sequence[Probe], results: Results, path: Path) -> None:
    """A panel per probe: score over layers, with intervals; log-mel as a line across."""
    from matplotlib.figure import Figure

    columns = min(len(probes), COLUMNS)
    rows = -(-len(probes) // columns)
    figure = Figure(figsize=(3.0 * columns, 2.7 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for axis in axes[len(probes) :]:
        axis.set_axis_off()
    for axis, probe in zip(axes, probes, strict=False):
        for name, scores in results[probe.name].items():
            _draw(axis, name, scores)
        axis.set(title=probe.name, xlabel="layer", ylabel=probe.metric)
    figure.axes[0].legend(fontsize="small")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)


def _draw(axis: Any, name: str, scores: list[Interval]) -> None:
    values = [score.value for score in scores]
    if len(values) == 1:
        axis.axhline(values[0], linestyle="--", color="gray", label=name)
        return
    below = [score.value - score.lo for score in scores]
    above = [score.hi - score.value for score in scores]
    places = range(len(values))
    axis.errorbar(places, values, yerr=[below, above], marker="o", capsize=2, label=name)
    axis.set_xticks(places, _layer_names(len(values)))


def write_probes(probes: Sequence[Probe], results: Results, out: Path) -> str:
    """Write PROBES.md, probes.json and probes.png to a folder; return the table."""
    table = format_probes(probes, results)
    with atomic_path(out / "PROBES.md") as temporary:
        temporary.write_text(f"# Probes\n\n{table}\n{LEGEND}\n", encoding="utf-8")
    content = {
        probe: {name: [asdict(score) for score in scores] for name, scores in of.items()}
        for probe, of in results.items()
    }
    write_json(out / "probes.json", content)
    plot_probes(probes, results, out / "probes.png")
    return table
