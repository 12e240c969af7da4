"""What a codec leaves of true sources: the record of it, and its table.

Letters: Q codebooks.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from aio_toolkit.files import atomic_path, write_json
from aio_toolkit.masks import WienerFilter
from aio_toolkit.scoring.intervals import Interval
from aio_toolkit.tables import decimal, interval_cell, markdown_table

LEGEND = """\
SI-SDR in dB of the true sources, mean over utterances with 95 % bootstrap interval, and multi-scale
mel distance (log10). mixture = the input unprocessed; N codebooks = through the codec with its N
leading codebooks; latents = through encoder and decoder without quantization; wiener = the mixture
in the Wiener filter of stage 5, fitted to the sources through the codec, all codebooks; ideal mask
= the mixture under magnitude masks made of the true sources, on the STFT of the mask path."""


@dataclass(frozen=True)
class Quality:
    """What one way of making estimates leaves of the sources.

    Attributes:
        si_sdr: SI-SDR in dB.
        mel: multi-scale mel distance.
    """

    si_sdr: Interval
    mel: Interval


@dataclass(frozen=True)
class CodebookUse:
    """How the sources use each codebook.

    Attributes:
        entropy: entropy of the codes, as a share of the largest possible.
        used: share of the codes that occur at all.
    """

    entropy: list[float]
    used: list[float]


@dataclass(frozen=True)
class CeilingResults:
    """What a codec leaves of the targets of a data dir, as it is kept in `ceiling.json`.

    Attributes:
        codec: the codec.
        data: the data dir.
        masks: options of the masks.
        tasks: by task and way of making estimates, from the mixture to the ideal mask.
        codebooks: use of the codebooks by the sources of all tasks.
    """

    codec: str
    data: str
    masks: WienerFilter.Config
    tasks: dict[str, dict[str, Quality]]
    codebooks: CodebookUse


def write_ceiling(results: CeilingResults, out: Path) -> str:
    """Write `CEILING.md` and `ceiling.json` to a folder; return the table."""
    table = format_ceiling(results)
    with atomic_path(out / "CEILING.md") as temporary:
        title = f"# {results.codec} on {results.data}"
        text = f"{title}\n\n{table}"
        temporary.write_text(text, encoding="utf-8")
    content = asdict(results)
    write_json(out / "ceiling.json", content)
    return table


def format_ceiling(results: CeilingResults) -> str:
    """Markdown: a row for each way of making estimates, two columns a task; then the codebooks' use
    and what the rows mean.

    >>> quality = Quality(Interval(9.5, 9.0, 10.0, n=3), Interval(0.54, 0.5, 0.6, n=3))
    >>> use = CodebookUse(entropy=[0.5, 0.75], used=[0.9, 1.0])
    >>> tasks = {"sep": {"32 codebooks": quality}}
    >>> results = CeilingResults("codec", "data", WienerFilter.Config(), tasks, use)
    >>> for line in format_ceiling(results).splitlines()[:3]:
    ...     print(line)
    | estimates    |          sep dB |   mel |
    | ------------ | --------------: | ----: |
    | 32 codebooks | 9.5 [9.0, 10.0] | 0.540 |
    """
    header = ["estimates"]
    for name in results.tasks:
        header += [f"{name} dB", "mel"]

    # All tasks are measured in the same ways.
    first = next(iter(results.tasks.values()))
    rows = []
    for way in first:
        row = [way]
        for of_task in results.tasks.values():
            quality = of_task[way]
            si_sdr = interval_cell(quality.si_sdr)
            # Mel distances are small; their intervals would only crowd the table.
            mel = decimal(quality.mel.value, digits=3)
            row += [si_sdr, mel]
        rows.append(row)

    table = markdown_table(header, rows)
    use = _format_use(results.codebooks)
    return f"{table}\n{use}\n\n{LEGEND}\n"


def _format_use(use: CodebookUse) -> str:
    entropy_Q = 100 * np.array(use.entropy)
    used_Q = 100 * np.array(use.used)
    # A single codebook that has collapsed would vanish in the mean.
    mean, least = entropy_Q.mean(), entropy_Q.min()
    used = used_Q.mean()
    entropy = f"{mean:.1f} % of the possible entropy, the least of them {least:.1f} %"
    return f"Codebooks: {entropy}; {used:.1f} % of their codes occur."
