"""Score a decode folder against its data dir."""

import functools
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

import numpy as np

from aio_toolkit.data.audio import read_audio
from aio_toolkit.data.datadir import Utterance, read_data_dir
from aio_toolkit.data.mixing import pad_or_crop
from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path
from aio_toolkit.progress import progress
from aio_toolkit.scoring import bootstrap
from aio_toolkit.scoring.bootstrap import mean_figure
from aio_toolkit.scoring.outputs import AudioOutputs, has_output, read_audio_outputs, read_hypotheses
from aio_toolkit.scoring.separation import CEILING_DB, FLOOR_DB, si_sdr_by_permutation, si_sdr_by_query
from aio_toolkit.scoring.text import bleu_statistics, corpus_bleu, word_error_rate, word_errors
from aio_toolkit.tasks import TASKS, Task, get_task

SCORES = "scores.tsv"
# A codec may leave out the end of its last frame; more than this is another recording.
MAX_LENGTH_GAP_SECONDS = 0.05
# SI-SDR in dB by output, each an array over the utterance's targets.
Scores = dict[str, np.ndarray]


def score_decode_dir(
    data: Path, decode: Path, sample_rate: int, num_jobs: int = 1, tasks: Sequence[str] = ()
) -> dict[str, Any]:
    """Score all tasks of a data dir and write `<task>/scores.tsv` with the score of each utterance.

    Args:
        data: data dir with the references.
        decode: decode folder of stage 5.
        sample_rate: Hz of references and estimates.
        num_jobs: processes that read and score audio.
        tasks: names of the tasks to score; all of the data dir by default.

    Returns:
        What `results.json` holds (see `aio_toolkit.scoring.report`).

    Raises:
        AioError: a task has no or not all decoded utterances, or audio cannot be read.
    """
    utterances = read_data_dir(data)
    present = [name for name in TASKS if any(u.task == name for u in utterances)]
    for name in tasks:
        if get_task(name).name not in present:
            raise AioError(f"{data} has no utterance of task '{name}'. Its tasks: {', '.join(present)}.")
    wanted = [get_task(name) for name in present if not tasks or name in tasks]
    for task in wanted:
        if not has_output(decode, task):
            raise AioError(
                f"{decode} has no output of task '{task.name}'. Run stage 5 (decoding), or name the tasks to score."
            )
    results: dict[str, Any] = {}
    for task in wanted:
        of_task = [u for u in utterances if u.task == task.name]
        if task.output == "text":
            results[task.name] = score_text_task(decode, task, of_task)
        else:
            results[task.name] = score_audio_task(decode, task, of_task, sample_rate, num_jobs)
    interval = {"level": bootstrap.LEVEL, "resamples": bootstrap.RESAMPLES, "seed": bootstrap.SEED}
    limits = {"floor_db": FLOOR_DB, "ceiling_db": CEILING_DB}
    return {
        "data": str(data),
        "sample_rate": sample_rate,
        "bootstrap": interval,
        "si_sdr": limits,
        "tasks": results,
    }


def score_text_task(decode: Path, task: Task, utterances: Sequence[Utterance]) -> dict[str, Any]:
    """WER of a task whose target is `text`, BLEU of any translation."""
    (target,) = task.targets
    references = [u.texts[target] for u in utterances]
    hypotheses = read_hypotheses(decode / task.name / "text", utterances)
    if target == "text":
        errors = word_errors(references, hypotheses)
        header = ("words", "insertions", "deletions", "substitutions")
        rows = [astuple(e) for e in errors]
        totals = dict(zip(header, np.sum(rows, axis=0).tolist(), strict=True))
        result = {"metric": "WER", "unit": "%", "score": asdict(word_error_rate(errors)), **totals}
    else:
        figure, signature = corpus_bleu(references, hypotheses)
        header = ("hypothesis_length", "reference_length", *(f"matches{n}" for n in range(1, 5)))
        header += tuple(f"ngrams{n}" for n in range(1, 5))
        rows = bleu_statistics(references, hypotheses).tolist()
        result = {"metric": "BLEU", "unit": "", "score": asdict(figure), "signature": signature}
    path = decode / task.name / SCORES
    _write_table(
        path, ("utterance", *header), [(u.id, *row) for u, row in zip(utterances, rows, strict=True)]
    )
    return _finish(result, decode, path, len(utterances))


def score_audio_task(
    decode: Path, task: Task, utterances: Sequence[Utterance], sample_rate: int, num_jobs: int
) -> dict[str, Any]:
    """SI-SDR of mixture and outputs, and what the outputs gain over the mixture.

    An utterance's score is the mean over its references that are not silent; a task's score is the mean over
    utterances.
    """
    items = read_audio_outputs(decode, task, utterances)
    scores = _score_all(items, sample_rate, num_jobs, task.name)
    result = {"metric": "SI-SDR", "unit": "dB", **_audio_figures([_mean_of_targets(s) for s in scores])}
    result["silent_references"] = sum(int(np.isnan(s["mixture"]).sum()) for s in scores)
    result["targets"] = {
        target: _audio_figures([_of_target(u, s, target) for u, s in zip(utterances, scores, strict=True)])
        for target in task.targets
    }
    path = decode / task.name / SCORES
    _write_table(path, ("utterance", "target", *scores[0]), _audio_rows(utterances, scores))
    return _finish(result, decode, path, len(utterances))


def score_utterance(outputs: AudioOutputs, sample_rate: int) -> Scores:
    """SI-SDR in dB of the mixture and of every output, an array over the targets of the utterance."""
    utterance = outputs.utterance
    read = functools.partial(_read_aligned, sample_rate=sample_rate, utterance=utterance)
    references_NS = np.stack([read(spec) for spec in utterance.targets.values()])
    mixture_S = read(utterance.wav)
    scores = {"mixture": si_sdr_by_query(references_NS, np.stack([mixture_S] * len(references_NS)))}
    for output, specs in outputs.estimates.items():
        if get_task(utterance.task).match == "permutation":
            estimates_MS = np.stack([read(spec) for spec in specs.values()])
            scores[output] = si_sdr_by_permutation(references_NS, estimates_MS)
        else:
            estimates_NS = np.stack([read(specs[target]) for target in utterance.targets])
            scores[output] = si_sdr_by_query(references_NS, estimates_NS)
    return scores


def _score_all(items: list[AudioOutputs], sample_rate: int, num_jobs: int, name: str) -> list[Scores]:
    work = functools.partial(score_utterance, sample_rate=sample_rate)
    if num_jobs == 1:
        return [work(item) for item in progress(items, f"score {name}")]
    with ProcessPoolExecutor(num_jobs) as pool:
        return list(progress(pool.map(work, items, chunksize=4), f"score {name}", total=len(items)))


def _read_aligned(spec: str, sample_rate: int, utterance: Utterance) -> np.ndarray:
    wave = read_audio(spec, sample_rate, where=utterance.id)
    if abs(len(wave) - utterance.num_samples) > MAX_LENGTH_GAP_SECONDS * sample_rate:
        raise AioError(
            f"{utterance.id}: {spec} has {len(wave)} samples, utt2num_samples says {utterance.num_samples}. "
            "Validate the data dir, then run stage 5 (decoding) again."
        )
    return pad_or_crop(wave, utterance.num_samples)


def _mean_of_targets(scores: Scores) -> dict[str, float]:
    """The mean over references that are not silent; NaN if all are."""
    active = ~np.isnan(scores["mixture"])
    return {output: float(s[active].mean()) if active.any() else np.nan for output, s in scores.items()}


def _of_target(utterance: Utterance, scores: Scores, target: str) -> dict[str, float]:
    """The score of one target; NaN where the utterance does not have it."""
    if target not in utterance.targets:
        return dict.fromkeys(scores, np.nan)
    index = list(utterance.targets).index(target)
    return {output: float(s[index]) for output, s in scores.items()}


def _audio_figures(scores: list[dict[str, float]]) -> dict[str, Any]:
    """Figures of all outputs, and of each output of the model less the mixture, utterance by utterance."""
    columns = {output: np.array([s[output] for s in scores]) for output in scores[0]}
    gains = {
        output: columns[output] - columns["mixture"] for output in ("codec", "wiener") if output in columns
    }
    return {
        "outputs": {output: asdict(mean_figure(column)) for output, column in columns.items()},
        "improvement": {output: asdict(mean_figure(column)) for output, column in gains.items()},
    }


def _audio_rows(utterances: Sequence[Utterance], scores: list[Scores]) -> list[tuple[str, ...]]:
    return [
        (u.id, target, *("silent" if np.isnan(s[i]) else f"{s[i]:.3f}" for s in by_output.values()))
        for u, by_output in zip(utterances, scores, strict=True)
        for i, target in enumerate(u.targets)
    ]


def _write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with atomic_path(path) as temporary:
        lines = ["\t".join(str(field) for field in row) for row in (header, *rows)]
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _finish(result: dict[str, Any], decode: Path, path: Path, num_utterances: int) -> dict[str, Any]:
    return result | {"num_utterances": num_utterances, "per_utterance": str(path.relative_to(decode))}
