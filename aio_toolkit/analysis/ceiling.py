"""The best that any head could do with a codec: true sources through the codec, and through ideal
masks.

Letters: N sources, S samples, Q codebooks, V codes in each.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aio_toolkit.answers.audio import Audio
from aio_toolkit.answers.sources import present_targets
from aio_toolkit.codec.base import Codec, load_codec
from aio_toolkit.codec.losses import MultiScaleMelLoss
from aio_toolkit.codec.usage import count_codes, entropy_share
from aio_toolkit.data.datadir import Utterance, read_data_dir
from aio_toolkit.data.sources import read_input
from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path, write_json
from aio_toolkit.masks import WienerFilter
from aio_toolkit.parallel import parallel_map
from aio_toolkit.progress import progress
from aio_toolkit.scoring.intervals import mean_interval
from aio_toolkit.scoring.separation import si_sdr_by_query
from aio_toolkit.tables import decimal, markdown_table
from aio_toolkit.tasks import Task

LEGEND = """\
SI-SDR in dB of the true sources, mean over utterances with 95 % bootstrap interval, and multi-scale mel
distance (log10). mixture = the input unprocessed; N codebooks = through the codec with its N leading
codebooks; latents = through encoder and decoder without quantization; masks = the mixture under masks fitted
to the sources through the codec, all codebooks; wiener = the same filter with as much of their own phase as
fits the mixture; ideal mask = the mixture under masks made of the true sources."""


class Ceiling:
    """Measures what the targets of a data dir lose through a codec, task by task."""

    @dataclass
    class Config:
        """What is measured.

        Attributes:
            codec: folder, file or name of the codec.
            codebooks: numbers of leading codebooks; every number by default.
            max_utts: the first so many utterances of each task; null: all.
            wiener: window and exponent of the masks.
        """

        codec: str
        codebooks: list[int] = field(default_factory=list)
        max_utts: int | None = None
        wiener: WienerFilter.Config = field(default_factory=WienerFilter.Config)

    def __init__(self, config: Config):
        total = load_codec(config.codec).fingerprint.num_codebooks
        self.config = config
        self.codebooks = list(config.codebooks) or list(range(1, total + 1))
        if not all(1 <= count <= total for count in self.codebooks):
            raise AioError(
                f"{config.codec} has {total} codebooks; codebooks asks for {self.codebooks}."
            )

    def measure(self, data: Path, tasks: Mapping[str, Task], num_jobs: int = 1) -> dict[str, Any]:
        """Measure a data dir.

        Args:
            data: data dir; its audio tasks are measured.
            tasks: all tasks that its utterances may have.
            num_jobs: processes.

        Returns:
            Under `tasks`, by task and row, the intervals `si_sdr` and `mel`; under `codebooks` how
            the sources of all of them use each codebook: `entropy` as a share of the possible and
            `used`, the share of codes that occur at all.

        Raises:
            AioError: the data dir has no audio task.
        """
        of_task: dict[str, list[Utterance]] = {}
        for utterance in read_data_dir(data, tasks):
            if isinstance(utterance.task.kind, Audio):
                of_task.setdefault(utterance.task.name, []).append(utterance)
        if not of_task:
            raise AioError(f"{data} has no utterance of an audio task.")
        of_task = {name: of_task[name][: self.config.max_utts] for name in tasks if name in of_task}

        items = [utterance for utterances in of_task.values() for utterance in utterances]
        work = functools.partial(_measure, config=self.config, codebooks=self.codebooks)
        measured = list(progress(parallel_map(work, items, num_jobs), "ceiling", total=len(items)))
        results = {}
        for name in of_task:
            pairs = zip(items, measured, strict=True)
            rows = [found.scores for item, found in pairs if item.task.name == name]
            results[name] = {key: _intervals([row[key] for row in rows]) for key in rows[0]}
        count_QV = torch.stack([found.count_QV for found in measured]).sum(0)
        usage = {
            "entropy": entropy_share(count_QV).tolist(),
            "used": (count_QV > 0).float().mean(1).tolist(),
        }
        return {
            "codec": self.config.codec,
            "data": str(data),
            "masks": asdict(self.config.wiener),
            "tasks": results,
            "codebooks": usage,
        }


@dataclass
class _Measured:
    """Of one utterance: SI-SDR and mel distance by row, and counts (Q, V) of the codes of its
    sources."""

    scores: dict[str, tuple[float, float]]
    count_QV: torch.Tensor


def _intervals(pairs: Sequence[tuple[float, float]]) -> dict[str, Any]:
    si_sdr_n, mel_n = (np.array(values) for values in zip(*pairs, strict=True))
    return {"si_sdr": asdict(mean_interval(si_sdr_n)), "mel": asdict(mean_interval(mel_n))}


@functools.cache
def _load(codec_path: str) -> tuple[Codec, MultiScaleMelLoss]:
    codec = load_codec(codec_path)
    return codec, MultiScaleMelLoss(codec.sample_rate)


def _measure(utterance: Utterance, config: Ceiling.Config, codebooks: Sequence[int]) -> _Measured:
    """Every way of making the estimates, means over targets that are not silent."""
    codec, mel = _load(config.codec)
    wiener = WienerFilter(config.wiener)
    mixture_S = torch.from_numpy(read_input(utterance, codec.sample_rate))
    waves = utterance.task.kind.waves(utterance, codec.sample_rate)
    sources_NS = torch.from_numpy(np.stack(list(waves.values())))
    encoded = codec.encode(sources_NS)
    num_targets, num_samples = len(present_targets(utterance)), len(mixture_S)

    ways = {"mixture": mixture_S.expand_as(sources_NS)}
    for count in codebooks:
        leading_NTQ = encoded.codes_BTQ[..., :count]
        ways[f"{count} codebooks"] = codec.decode(leading_NTQ)[:, :num_samples]
    ways["latents"] = codec.decode_latents(encoded.latents_BTC)[:, :num_samples]
    coded_NS = codec.decode(encoded.codes_BTQ)[:, :num_samples]
    ways["masks"] = wiener(mixture_S, coded_NS)
    ways["wiener"] = wiener.oracle(mixture_S, coded_NS)
    ways["ideal mask"] = wiener.ideal_mask(mixture_S, sources_NS)

    references_NS = sources_NS[:num_targets]
    scores = {key: _score(references_NS, way_NS[:num_targets], mel) for key, way_NS in ways.items()}
    codes_NQT = encoded.codes_BTQ.transpose(1, 2)
    return _Measured(scores, count_codes(codes_NQT, codec.fingerprint.codebook_size))


def _score(
    references_NS: torch.Tensor, estimates_NS: torch.Tensor, mel: MultiScaleMelLoss
) -> tuple[float, float]:
    si_sdr_N = si_sdr_by_query(references_NS.numpy(), estimates_NS.numpy())
    active_N = ~np.isnan(si_sdr_N)
    if not active_N.any():
        return np.nan, np.nan
    distance = mel(estimates_NS[active_N], references_NS[active_N]).item()
    return float(si_sdr_N[active_N].mean()), distance


def format_ceiling(results: dict[str, Any]) -> str:
    """A Markdown table, a row per way of making the estimates, two columns per task; and the
    codebooks' use."""
    tasks = results["tasks"]
    rows = []
    for key in next(iter(tasks.values())):
        row = [key]
        for scores in tasks.values():
            si_sdr, mel = scores[key]["si_sdr"], scores[key]["mel"]
            bounds = f"[{decimal(si_sdr['lo'])}, {decimal(si_sdr['hi'])}]"
            row += [f"{decimal(si_sdr['value'])} {bounds}", decimal(mel["value"], 3)]
        rows.append(row)
    header = ["estimates"]
    for name in tasks:
        header += [f"{name} dB", "mel"]
    usage = _format_usage(results["codebooks"])
    return f"{markdown_table(header, rows)}\n{usage}\n\n{LEGEND}\n"


def _format_usage(usage: dict[str, list[float]]) -> str:
    entropy_Q, used_Q = 100 * np.array(usage["entropy"]), 100 * np.array(usage["used"])
    return (
        f"Codebooks: {entropy_Q.mean():.1f} % of the possible entropy, the least of them "
        f"{entropy_Q.min():.1f} %; {used_Q.mean():.1f} % of their codes occur."
    )


def write_ceiling(results: dict[str, Any], out: Path) -> str:
    """Write CEILING.md and ceiling.json to a folder; return the table."""
    table = format_ceiling(results)
    with atomic_path(out / "CEILING.md") as temporary:
        title = f"# {results['codec']} on {results['data']}"
        temporary.write_text(f"{title}\n\n{table}", encoding="utf-8")
    write_json(out / "ceiling.json", results)
    return table
