"""Probes of a pre-trained encoder beside its random twin and log-mel: table, figures, curves over layers."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from aio_toolkit.analysis.probe import Extract, Probe, run_probe
from aio_toolkit.files import atomic_path, write_json
from aio_toolkit.models.checkpoint import Provenance
from aio_toolkit.models.ssl import SslEncoder, SslModel
from aio_toolkit.progress import progress
from aio_toolkit.scoring.bootstrap import Figure
from aio_toolkit.scoring.report import markdown_table

LEGEND = """\
Scores of a linear layer on frozen features, with 95 % bootstrap intervals over utterances; the same budget for all.
0 = the encoder's input, 1 ... = its layers, all = all of them side by side. random = the same encoder before training,
with the same input; log-mel = that part of the input alone."""
Results = dict[str, dict[str, list[Figure]]]


def contestants(encoder: SslEncoder, config: SslModel.Config, provenance: Provenance, seed: int) -> dict[str, Extract]:
    """The ways to look at features, by name."""
    torch.manual_seed(seed)
    twin = SslEncoder(config.encoder, len(encoder.mean_F))
    twin.mean_F.copy_(encoder.mean_F)
    twin.std_F.copy_(encoder.std_F)
    found = {"pre-trained": _layers_of(encoder.eval()), "random": _layers_of(twin.eval())}
    if provenance.frontend["log_mel"]:
        latents = provenance.codec["latent_dim"] if provenance.frontend["codec_latents"] else 0
        num_mel = len(encoder.mean_F) - latents
        found["log-mel"] = lambda feats_TF: [encoder.normalise(torch.from_numpy(feats_TF))[:, :num_mel]]
    return found


def _layers_of(encoder: SslEncoder) -> Extract:
    @torch.no_grad()
    def extract(feats_TF: np.ndarray) -> list[torch.Tensor]:
        features_1TF = encoder.normalise(torch.from_numpy(feats_TF)[None])
        states = encoder(features_1TF, torch.tensor([len(feats_TF)]))
        # Pre-norm layers grow; each is brought to the same scale before they stand side by side.
        layers = [features_1TF[0], *(torch.nn.functional.layer_norm(s[0], s.shape[-1:]) for s in states)]
        return [*layers, torch.cat(layers, dim=-1)]

    return extract


def run_probes(probes: Sequence[Probe], extracts: dict[str, Extract], steps: int) -> Results:
    """Every probe on every way to look."""
    results: Results = {}
    pairs = [(probe, name) for probe in probes for name in extracts]
    for probe, name in progress(pairs, "probe", unit="probe"):
        results.setdefault(probe.name, {})[name] = run_probe(probe, extracts[name], steps)
    return results


def format_probes(probes: Sequence[Probe], results: Results) -> str:
    """Markdown: a row per probe and encoder, a column per layer."""
    most = max(len(figures) for of in results.values() for figures in of.values())
    layers = [*map(str, range(most - 1)), "all"]
    rows = []
    for probe in probes:
        for name, figures in results[probe.name].items():
            cells = [f"{f.value:.1f} [{f.lo:.1f}, {f.hi:.1f}]" for f in figures]
            if len(cells) == 1:
                cells += ["-"] * (most - 1)
            rows.append([probe.name, probe.metric, name, *cells])
    return markdown_table(["probe", "metric", "features", *layers], rows)


def plot_probes(probes: Sequence[Probe], results: Results, path: Path) -> None:
    """A panel per probe: score over layers, with intervals; log-mel as a line across."""
    from matplotlib.figure import Figure as Canvas

    columns = min(len(probes), 4)
    rows = -(-len(probes) // columns)
    canvas = Canvas(figsize=(3.0 * columns, 2.7 * rows), layout="constrained")
    axes = canvas.subplots(rows, columns, squeeze=False).flatten()
    for axis in axes[len(probes) :]:
        axis.set_axis_off()
    for axis, probe in zip(axes, probes, strict=False):
        for name, figures in results[probe.name].items():
            values = [f.value for f in figures]
            if len(values) == 1:
                axis.axhline(values[0], linestyle="--", color="gray", label=name)
                continue
            errors = [[f.value - f.lo for f in figures], [f.hi - f.value for f in figures]]
            axis.errorbar(range(len(values)), values, yerr=errors, marker="o", capsize=2, label=name)
            axis.set_xticks(range(len(values)), [*map(str, range(len(values) - 1)), "all"])
        axis.set(title=probe.name, xlabel="layer", ylabel=probe.metric)
    canvas.axes[0].legend(fontsize="small")
    with atomic_path(path) as temporary:
        canvas.savefig(temporary, format="png", dpi=150)


def write_probes(probes: Sequence[Probe], results: Results, out: Path) -> str:
    """Write PROBES.md, probes.json and probes.png to a folder; return the table."""
    table = format_probes(probes, results)
    with atomic_path(out / "PROBES.md") as temporary:
        temporary.write_text(f"# Probes\n\n{table}\n{LEGEND}\n", encoding="utf-8")
    content = {p: {name: [asdict(f) for f in figures] for name, figures in of.items()} for p, of in results.items()}
    write_json(out / "probes.json", content)
    plot_probes(probes, results, out / "probes.png")
    return table
