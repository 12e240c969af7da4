"""Score a decode folder against its data dir."""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

import numpy as np

from aio_toolkit.data.audio import read_audio
from aio_toolkit.data.datadir import Utterance, read_data_dir
from aio_toolkit.data.mixing import pad_or_crop
from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path
from aio_toolkit.parallel import parallel_map
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
    wanted = _wanted_tasks(data, decode, {u.task for u in utterances}, tasks)
    of_task = {task.name: [u for u in utterances if u.task == task.name] for task in wanted}
    # What is missing is found before the long work begins.
    audio = {t.name: read_audio_outputs(decode, t, of_task[t.name]) for t in wanted if t.output == "audio"}
    results = {task.name: score_text_task(decode, task, of_task[task.name]) for task in wanted if task.output == "text"}
    for name, scores in _score_audio(audio, sample_rate, num_jobs).items():
        results[name] = report_audio_task(decode, get_task(name), of_task[name], scores)
    return {
        "data": str(data),
        "sample_rate": sample_rate,
        "bootstrap": {"level": bootstrap.LEVEL, "resamples": bootstrap.RESAMPLES, "seed": bootstrap.SEED},
        "si_sdr": {"floor_db": FLOOR_DB, "ceiling_db": CEILING_DB},
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
    _write_table(path, ("utterance", *header), [(u.id, *row) for u, row in zip(utterances, rows, strict=True)])
    return _finish(result, decode, path, len(utterances))


def report_audio_task(
    decode: Path, task: Task, utterances: Sequence[Utterance], scores: list[Scores]
) -> dict[str, Any]:
    """SI-SDR of mixture and outputs, and what the outputs gain over the mixture.

    An utterance's score is the mean over its references that are not silent; a task's score is the mean over
    utterances.
    """
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


def _wanted_tasks(data: Path, decode: Path, present: set[str], names: Sequence[str]) -> list[Task]:
    """The tasks to score, all of which have output; AioError otherwise."""
    for name in names:
        if get_task(name).name not in present:
            known = ", ".join(sorted(present))
            raise AioError(f"{data} has no utterance of task '{name}'. Its tasks: {known}.")
    wanted = [task for task in TASKS.values() if task.name in (names or present)]
    for task in wanted:
        if not has_output(decode, task):
            raise AioError(
                f"{decode} has no output of task '{task.name}'. "
                "Run stage 5 (decoding), or name the tasks to score with --tasks."
            )
    return wanted


def _score_audio(audio: dict[str, list[AudioOutputs]], sample_rate: int, num_jobs: int) -> dict[str, list[Scores]]:
    """Scores of all utterances of all audio tasks, by one pool of processes, as each has slow imports."""
    items = [item for of_task in audio.values() for item in of_task]
    work = functools.partial(score_utterance, sample_rate=sample_rate)
    if not items:
        return {}
    scored = parallel_map(work, items, num_jobs, chunksize=8)
    scores = iter(list(progress(scored, "score audio", total=len(items))))
    return {name: list(itertools.islice(scores, len(of_task))) for name, of_task in audio.items()}


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
    gains = {output: columns[output] - columns["mixture"] for output in ("codec", "wiener") if output in columns}
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
