"""The best that any head could do with a codec: true sources through the codec, and through ideal masks.

Letters: N sources, S samples, Q codebooks, V codes in each.
"""

import functools
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aio_toolkit.codec.dac import DacCodec
from aio_toolkit.codec.losses import MultiScaleMelLoss
from aio_toolkit.codec.usage import count_codes, entropy_share
from aio_toolkit.data.datadir import Utterance, read_data_dir
from aio_toolkit.data.sources import read_input, read_sources
from aio_toolkit.decoding.audio import ideal_mask, mixture_consistent, oracle_wiener
from aio_toolkit.decoding.config import AudioConfig
from aio_toolkit.errors import AioError
from aio_toolkit.parallel import parallel_map
from aio_toolkit.progress import progress
from aio_toolkit.scoring.bootstrap import mean_figure
from aio_toolkit.scoring.report import figure_cell, markdown_table
from aio_toolkit.scoring.separation import si_sdr_by_query
from aio_toolkit.tasks import TASKS

LEGEND = """\
SI-SDR in dB of the true sources, mean over utterances with 95 % bootstrap interval, and multi-scale mel distance
(log10). mixture = the input unprocessed; N codebooks = through the codec with its N leading codebooks; latents =
through encoder and decoder without quantisation; masks = the mixture under masks fitted to the sources through the
codec, all codebooks; wiener = the same filter with as much of their own phase as fits the mixture; ideal mask = the
mixture under masks made of the true sources."""


def measure_ceiling(
    codec_path: str,
    data: Path,
    config: AudioConfig,
    codebooks: Sequence[int] = (),
    max_utterances: int | None = None,
    num_jobs: int = 1,
) -> dict[str, Any]:
    """What the targets of a data dir lose through a codec, task by task.

    Args:
        codec_path: a codec.
        data: data dir; its audio tasks are measured.
        config: window and exponent of the masks.
        codebooks: numbers of leading codebooks; every number by default.
        max_utterances: the first so many utterances of each task; all by default.
        num_jobs: processes.

    Returns:
        Under `tasks`, by task and row, the figures `si_sdr` and `mel`; under `codebooks` how the sources of all of them
        use each codebook: `entropy` as a share of the possible and `used`, the share of codes that occur at all.

    Raises:
        AioError: the data dir has no audio task, or the codec fewer codebooks.
    """
    total = DacCodec.load(codec_path).fingerprint["num_codebooks"]
    codebooks = list(codebooks) or list(range(1, total + 1))
    if not all(1 <= count <= total for count in codebooks):
        raise AioError(f"{codec_path} has {total} codebooks; --codebooks asks for {codebooks}.")
    of_task: dict[str, list[Utterance]] = {}
    for utterance in read_data_dir(data):
        if TASKS[utterance.task].output == "audio":
            of_task.setdefault(utterance.task, []).append(utterance)
    if not of_task:
        raise AioError(f"{data} has no utterance of an audio task.")
    of_task = {name: utterances[:max_utterances] for name, utterances in of_task.items()}
    items = [utterance for name in TASKS for utterance in of_task.get(name, [])]
    work = functools.partial(_measure, codec_path=codec_path, config=config, codebooks=codebooks)
    measured = list(progress(parallel_map(work, items, num_jobs), "ceiling", total=len(items)))
    tasks = {}
    for name in (name for name in TASKS if name in of_task):
        rows = [row for utterance, (row, _) in zip(items, measured, strict=True) if utterance.task == name]
        tasks[name] = {
            key: {
                measure: asdict(mean_figure(np.array([row[key][i] for row in rows])))
                for i, measure in enumerate(("si_sdr", "mel"))
            }
            for key in rows[0]
        }
    count_QV = torch.stack([count_QV for _, count_QV in measured]).sum(0)
    usage = {"entropy": entropy_share(count_QV).tolist(), "used": (count_QV > 0).float().mean(1).tolist()}
    return {"codec": codec_path, "data": str(data), "masks": asdict(config), "tasks": tasks, "codebooks": usage}


def format_ceiling(results: dict[str, Any]) -> str:
    """A Markdown table, a row per way of making the estimates, two columns per task; and the use of the codebooks."""
    tasks = results["tasks"]
    rows = []
    for key in next(iter(tasks.values())):
        row = [key]
        for figures in tasks.values():
            row += [figure_cell(figures[key]["si_sdr"]), f"{figures[key]['mel']['value']:.3f}"]
        rows.append(row)
    header = ["estimates", *(title for name in tasks for title in (f"{name} dB", "mel"))]
    return f"{markdown_table(header, rows)}\n{_format_usage(results['codebooks'])}\n\n{LEGEND}\n"


def _format_usage(usage: dict[str, list[float]]) -> str:
    entropy_Q, used_Q = 100 * np.array(usage["entropy"]), 100 * np.array(usage["used"])
    return (
        f"Codebooks: {entropy_Q.mean():.1f} % of the possible entropy, the least of them {entropy_Q.min():.1f} %; "
        f"{used_Q.mean():.1f} % of their codes occur."
    )


@functools.cache
def _load(codec_path: str) -> tuple[DacCodec, MultiScaleMelLoss]:
    codec = DacCodec.load(codec_path)
    return codec, MultiScaleMelLoss(codec.sample_rate)


def _measure(
    utterance: Utterance, codec_path: str, config: AudioConfig, codebooks: Sequence[int]
) -> tuple[dict[str, tuple[float, float]], torch.Tensor]:
    """SI-SDR and mel distance of every way of making the estimates, means over targets that are not silent.

    Beside them stand the counts (Q, V) of the codes of all sources.
    """
    codec, mel = _load(codec_path)
    mixture_S = torch.from_numpy(read_input(utterance, codec.sample_rate))
    sources_NS = torch.from_numpy(np.stack(list(read_sources(utterance, codec.sample_rate).values())))
    encoded = codec.encode(sources_NS)
    num_targets, num_samples = len(utterance.targets), len(mixture_S)
    ways = {"mixture": mixture_S.expand_as(sources_NS)}
    for count in codebooks:
        ways[f"{count} codebooks"] = codec.decode(encoded.codes_BTQ[..., :count])[:, :num_samples]
    ways["latents"] = codec.decode_latents(encoded.latents_BTC)[:, :num_samples]
    coded_NS = codec.decode(encoded.codes_BTQ)[:, :num_samples]
    ways["masks"] = mixture_consistent(mixture_S, coded_NS, config)
    ways["wiener"] = oracle_wiener(mixture_S, coded_NS, config)
    ways["ideal mask"] = ideal_mask(mixture_S, sources_NS, config)
    references_NS = sources_NS[:num_targets]
    scores = {key: _score(references_NS, way_NS[:num_targets], mel) for key, way_NS in ways.items()}
    return scores, count_codes(encoded.codes_BTQ.transpose(1, 2), codec.fingerprint["codebook_size"])


def _score(references_NS: torch.Tensor, estimates_NS: torch.Tensor, mel: MultiScaleMelLoss) -> tuple[float, float]:
    si_sdr_N = si_sdr_by_query(references_NS.numpy(), estimates_NS.numpy())
    active_N = ~np.isnan(si_sdr_N)
    if not active_N.any():
        return np.nan, np.nan
    return float(si_sdr_N[active_N].mean()), mel(estimates_NS[active_N], references_NS[active_N]).item()
