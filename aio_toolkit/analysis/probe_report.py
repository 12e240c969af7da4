"""Probes of a pre-trained encoder beside its random twin and log-mel: table, numbers, curves over
layers.

Letters: B batch (of one), S samples, T frames, F feature bins, D width, L layers.
"""

import math
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
from aio_toolkit.tables import NOTHING, interval_cell, markdown_table

LEGEND = """\
Scores of a linear layer on frozen features, with 95 % bootstrap intervals over utterances; the same
budget for all. 0 = the encoder's input, 1 ... = its layers, all = all of them side by side. random
= the same encoder before training, with the same input; log-mel = that part of the input alone."""
# The front end that is a way to look of its own.
LOG_MEL = "log_mel"
# Panels of the plot in a row.
COLUMNS = 4


def contestants(ssl: LoadedSsl, seed: int) -> dict[str, Extract]:
    """The ways to look at recordings, by name.

    - `pre-trained`: the encoder's input, each of its layers, and all of these side by side.
    - `random`: the same of its twin before training.
    - `log-mel`: that part of the input alone, where the encoder hears it.

    Args:
        ssl: a pre-trained encoder.
        seed: of the twin's weights.

    >>> from aio_toolkit.codec.base import CodecFingerprint
    >>> codec = CodecFingerprint("tiny", "0", 16000, 320, 2, 16, latent_dim=2)
    >>> ssl = LoadedSsl(SslEncoder(SslEncoder.Config(), codec.grid), codec)
    >>> for name, extract in contestants(ssl, seed=0).items():
    ...     print(name, [layer_TD.shape[1] for layer_TD in extract(np.zeros(800, np.float32))])
    pre-trained [160, 192, 192, 192, 736]
    random [160, 192, 192, 192, 736]
    log-mel [160]
    """
    encoder = ssl.encoder
    torch.manual_seed(seed)
    twin = SslEncoder(encoder.config, encoder.grid)
    # The twin has the same input: statistics are not what training is about.
    twin.front_end.load_state_dict(encoder.front_end.state_dict())

    found = {
        "pre-trained": _layers_of(encoder),
        "random": _layers_of(twin),
    }
    if LOG_MEL in encoder.front_end.parts:
        found["log-mel"] = _log_mel_of(encoder)
    return found


def _layers_of(encoder: SslEncoder) -> Extract:
    encoder.eval()

    @torch.no_grad()
    def _extract(wave_S: np.ndarray) -> list[torch.Tensor]:
        features_TF = _hear(encoder, wave_S)
        lengths_B = torch.tensor([len(features_TF)])
        states = encoder(features_TF[None], lengths_B)

        layers = [features_TF]
        for state_BTD in states:
            state_TD = state_BTD[0]
            # Pre-norm layers grow; each is brought to the same scale before they stand side by
            # side.
            scaled_TD = F.layer_norm(state_TD, state_TD.shape[-1:])
            layers.append(scaled_TD)
        side_by_side = torch.cat(layers, dim=-1)
        return [*layers, side_by_side]

    return _extract


def _log_mel_of(encoder: SslEncoder) -> Extract:
    bins = encoder.front_end.bins([LOG_MEL])

    def _extract(wave_S: np.ndarray) -> list[torch.Tensor]:
        return [_hear(encoder, wave_S)[:, bins]]

    return _extract


def _hear(encoder: SslEncoder, wave_S: np.ndarray) -> torch.Tensor:
    """What the encoder is given (T, F)."""
    wave_BS = torch.from_numpy(wave_S)[None]
    features = encoder.front_end.extract(wave_BS, torch.tensor([len(wave_S)]))
    return encoder.front_end(features)[0]


def format_probes(probes: Sequence[Probe], results: Results) -> str:
    """Markdown: a row for each probe and way to look, a column for each layer.

    >>> from aio_toolkit.analysis.probe import Labelled
    >>> probe = Probe("speaker", "class", ["ann", "bob"], Labelled([], []), Labelled([], []))
    >>> score = Interval(61.25, 50.0, 75.0, n=8)
    >>> table = format_probes([probe], {"speaker": {"pre-trained": [score], "log-mel": [score]}})
    >>> table.splitlines()[2]
    '| speaker | accuracy % (higher) | pre-trained | 61.2 [50.0, 75.0] |'
    """
    lengths = []
    for of_probe in results.values():
        lengths += [len(scores) for scores in of_probe.values()]
    num_columns = max(lengths)

    rows = []
    for probe in probes:
        for name, scores in results[probe.name].items():
            cells = [interval_cell(score) for score in scores]
            # What has no layers stands in the first column alone.
            cells += [NOTHING] * (num_columns - len(cells))
            rows.append([probe.name, probe.metric, name, *cells])
    header = ["probe", "metric", "features", *_layer_names(num_columns)]
    return markdown_table(header, rows)


def _layer_names(num_columns: int) -> list[str]:
    numbers = range(num_columns - 1)
    return [*map(str, numbers), "all"]


def plot_probes(probes: Sequence[Probe], results: Results, path: Path) -> None:
    """A panel a probe: score over layers, with intervals; log-mel as a line across."""
    # Slow to import. `Figure` needs no display, unlike pyplot.
    from matplotlib.figure import Figure

    count = len(probes)
    columns = min(count, COLUMNS)
    rows = math.ceil(count / columns)
    size = 3.0 * columns, 2.7 * rows
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    axes = grid.flatten()
    # The last row may have panels to spare.
    for axis in axes[count:]:
        axis.set_axis_off()

    for axis, probe in zip(axes, probes, strict=False):
        for name, scores in results[probe.name].items():
            _draw(axis, name, scores)
        axis.set(title=probe.name, xlabel="layer", ylabel=probe.metric)
    axes[0].legend(fontsize="small")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)


def _draw(axis: Any, name: str, scores: Sequence[Interval]) -> None:
    value_L = np.array([score.value for score in scores], dtype=float)
    if len(scores) == 1:
        axis.axhline(value_L[0], linestyle="--", color="gray", label=name)
        return
    lo_L = np.array([score.lo for score in scores], dtype=float)
    hi_L = np.array([score.hi for score in scores], dtype=float)
    below_L, above_L = value_L - lo_L, hi_L - value_L
    places = range(len(scores))
    axis.errorbar(
        places,
        value_L,
        yerr=[below_L, above_L],
        marker="o",
        capsize=2,
        label=name,
    )
    axis.set_xticks(places, _layer_names(len(scores)))


def write_probes(probes: Sequence[Probe], results: Results, out: Path) -> str:
    """Write PROBES.md, probes.json and probes.png to a folder; return the table."""
    table = format_probes(probes, results)
    with atomic_path(out / "PROBES.md") as temporary:
        text = f"# Probes\n\n{table}\n{LEGEND}\n"
        temporary.write_text(text, encoding="utf-8")

    content = {}
    for probe, of_probe in results.items():
        ways = {}
        for name, scores in of_probe.items():
            ways[name] = [asdict(score) for score in scores]
        content[probe] = ways
    write_json(out / "probes.json", content)
    plot_probes(probes, results, out / "probes.png")
    return table
