"""Runs of synthetic scores, as comparisons find them."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from tiny import ALL

from aio_toolkit import parts
from aio_toolkit.analysis.kept_run import KeptRun
from aio_toolkit.answers.decode_stamp import STAMP, DecodeStamp
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.files import write_json
from aio_toolkit.scoring.base import Key, Scorer, Sums
from aio_toolkit.scoring.results import Results, TaskResult
from aio_toolkit.scoring.summary import ScoredTask, summarize

# Dev sets of two sizes; speakers of asr speak twice.
NUM = {"asr": 12, "sep": 10}


def utterances_of(task: str, num: int) -> list[Utterance]:
    answers = dict.fromkeys(ALL[task].targets, "none")
    return [
        Utterance(f"{task}-{i:02}", ALL[task], f"speaker{i // 2}", "none.wav", 100, answers)
        for i in range(num)
    ]


def word_errors(utterance: Utterance, errors: float) -> Sums:
    return {Key("hypothesis", "text", "wer"): np.array([10.0, 0.0, 0.0, errors])}


def decibels(utterance: Utterance, mixture: float, gain: float) -> Sums:
    """Both speakers are 1 dB from their mean."""
    sums = {}
    for target, apart in (("spk1", -1.0), ("spk2", 1.0)):
        for output, score in (("masked", mixture + gain), ("mixture", mixture)):
            sums[Key(output, target, "si_sdr")] = np.array([score + apart, 1.0])
    return sums


def scored(folder: Path, task: str, sums: Sequence[Sums]) -> TaskResult:
    scorer = parts.find(Scorer, ALL[task].output)(ALL[task], {}, 8000)
    return summarize(ScoredTask(scorer, utterances_of(task, len(sums)), sums), folder)


def write_run(
    folder: Path,
    errors_n: Sequence[float] | None = None,
    gain_n: Sequence[float] | None = None,
    mixture_n: Sequence[float] | None = None,
    model: str = "",
) -> KeptRun:
    """A scored decode folder: errors in ten words of each utterance of asr, gains of sep.

    It is of a model of its own unless one is named.
    """
    tasks = []
    if errors_n is not None:
        pairs = zip(utterances_of("asr", len(errors_n)), errors_n, strict=True)
        tasks.append(scored(folder, "asr", [word_errors(*pair) for pair in pairs]))
    if gain_n is not None:
        mixture_n = np.zeros(len(gain_n)) if mixture_n is None else mixture_n
        rows = zip(utterances_of("sep", len(gain_n)), mixture_n, gain_n, strict=True)
        tasks.append(scored(folder, "sep", [decibels(*row) for row in rows]))
    stamp = DecodeStamp({"decoders": {}}, model or str(folder), 8000, "")
    write_json(folder / STAMP, asdict(stamp))
    Results("data/dev", 8000, {"level": 0.95}, [], tasks).write(folder)
    return KeptRun.read(folder)
