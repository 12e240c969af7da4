"""Sub-networks for single tasks, and what they lose and gain against the whole model."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from aio_toolkit.analysis.routing import measure_routing
from aio_toolkit.data.batch import Example, collate
from aio_toolkit.data.dataset import DumpDataset
from aio_toolkit.decoding.config import DecodeConfig
from aio_toolkit.decoding.split import decode_split
from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path, write_json
from aio_toolkit.models.aio import AioModel
from aio_toolkit.models.checkpoint import MODEL, LoadedAio, load_aio
from aio_toolkit.models.subnetwork import choose_experts, count_parameters, extract
from aio_toolkit.moe.base import Tables
from aio_toolkit.scoring.evaluate import score_decode_dir
from aio_toolkit.scoring.report import markdown_table

LEGEND = """\
experts = experts kept over all layers; backbone = share of the backbone's parameters kept; size = the checkpoint's;
speed = how many times faster than the whole model the encoder and backbone are on the same utterances, one thread
pool, medians of alternating runs; score = WER or BLEU, or the gain in SI-SDR of the Wiener output over the mixture;
loss = how much worse the score is than the whole model's, in per cent of it."""


def measure_visits(model_dir: Path, data: Path, dump: Path) -> tuple[LoadedAio, Tables]:
    """A trained model and its routing on a data dir; AioError if it has no experts."""
    loaded = load_aio(model_dir / MODEL)
    if not loaded.model.backbone.moe_layers():
        raise AioError(f"{model_dir} is dense: it has no experts to choose from.")
    return loaded, measure_routing(loaded.model, DumpDataset(data, dump, loaded.model.tasks))


def extract_task(loaded: LoadedAio, tables: Tables, task: str, min_load: float, most: int | None, out: Path) -> str:
    """Write the sub-network of a task to `out/model.pt`; return a line that says how much of the model it is."""
    small, kept = _cut(loaded, tables, task, min_load, most)
    small.save(out / MODEL)
    write_json(out / "kept_experts.json", kept)
    share = count_parameters(small.model.backbone) / count_parameters(loaded.model.backbone)
    counts = " ".join(f"{name}:{len(experts)}" for name, experts in kept.items())
    return f"{out / MODEL}: {100 * share:.1f} % of the backbone's parameters, experts kept {counts}"


def sweep_budgets(
    loaded: LoadedAio,
    tables: Tables,
    tasks: Sequence[str],
    budgets: Sequence[int],
    config: DecodeConfig,
    codec: str,
    test: tuple[Path, Path],
    out: Path,
    num_jobs: int = 1,
) -> str:
    """Extract each task with all experts that it visits and with at most so many a layer; decode and score each.

    Args:
        loaded: the whole model.
        tables: its routing on data that is not the test data.
        tasks: tasks to extract.
        budgets: most experts kept in a layer.
        config: decoding.
        codec: the model's codec.
        test: data dir to score on, and its dump.
        out: folder of the sub-networks and of EXTRACTION.md.
        num_jobs: processes that score audio.

    Returns:
        The table.
    """
    rows = []
    loaded.save(out / "whole" / MODEL)
    whole_size = count_parameters(loaded.model.backbone)
    for task in tasks:
        dataset = DumpDataset(*test, [task])
        whole = _score(out / "whole", task, config, codec, test, num_jobs)
        rows.append(_row(task, "whole", tables, 1.0, out / "whole", 1.0, whole, whole))
        for most in (None, *sorted(budgets, reverse=True)):
            small, kept = _cut(loaded, tables, task, 0.0, most)
            folder = out / f"{task}_{most or 'visited'}"
            small.save(folder / MODEL)
            share = count_parameters(small.model.backbone) / whole_size
            speed = _speed(loaded.model, small.model, dataset)
            score = _score(folder, task, config, codec, test, num_jobs)
            rows.append(_row(task, str(most or "visited"), kept, share, folder, speed, score, whole))
    header = ["task", "budget", "experts", "backbone", "size MB", "speed", "score", "loss %"]
    table = markdown_table(header, rows)
    with atomic_path(out / "EXTRACTION.md") as temporary:
        temporary.write_text(f"# Sub-networks on {test[0]}\n\n{table}\n{LEGEND}\n", encoding="utf-8")
    return table


def _cut(
    loaded: LoadedAio, tables: Tables, task: str, min_load: float, most: int | None
) -> tuple[LoadedAio, dict[str, list[int]]]:
    if task not in loaded.model.tasks:
        raise AioError(f"the model has no task '{task}'. Its tasks: {', '.join(loaded.model.tasks)}.")
    kept = choose_experts(tables, loaded.model.tasks.index(task), min_load, most)
    model, config = extract(loaded.model, loaded.config, task, kept)
    vocabulary = loaded.vocabulary if model.text_head is not None else None
    return dataclasses.replace(loaded, model=model, config=config, vocabulary=vocabulary), kept


def _score(
    folder: Path, task: str, config: DecodeConfig, codec: str, test: tuple[Path, Path], num_jobs: int
) -> tuple[str, float]:
    """Decode and score one task; the metric and its value."""
    decode = folder / "decode"
    decode_split(config, folder, codec, *test, decode, [task])
    result = score_decode_dir(test[0], decode, _sample_rate(folder), num_jobs, [task])["tasks"][task]
    if "score" in result:
        return result["metric"], result["score"]["value"]
    return "SI-SDRi", result["improvement"]["wiener"]["value"]


def _sample_rate(folder: Path) -> int:
    return load_aio(folder / MODEL).provenance.codec["sample_rate"]


def _row(task, budget, kept, share, folder, speed, score, whole) -> list[str]:
    metric, value = score
    sign = -1 if metric == "WER" else 1
    loss = round(100 * sign * (whole[1] - value) / abs(whole[1]), 1) + 0.0  # no minus zero
    experts = sum(len(k) if isinstance(k, list) else k.count_GE.shape[1] for k in kept.values())
    size = (folder / MODEL).stat().st_size / 1e6
    return [task, budget, str(experts), f"{100 * share:.1f} %", f"{size:.1f}", f"{speed:.2f}", f"{value:.2f}",
            f"{loss:+.1f}"]  # fmt: skip


@torch.inference_mode()
def _speed(whole: AioModel, small: AioModel, dataset: DumpDataset, utterances: int = 16, rounds: int = 5) -> float:
    """Time of the whole model over that of the small one, medians over rounds in which they take turns."""
    members = [dataset.utterances[index] for index in range(min(utterances, len(dataset)))]
    seconds: dict[AioModel, list[float]] = {whole: [], small: []}
    for _ in range(rounds):
        for model, times in seconds.items():
            inputs = collate([Example(u.id, u.task, dataset.feats[u.id]) for u in members], model.tasks)
            start = time.perf_counter()
            model.encode(inputs.feats_BTF, inputs.lengths_B, inputs.task_B)
            times.append(time.perf_counter() - start)
    medians = [sorted(times)[rounds // 2] for times in seconds.values()]
    return medians[0] / medians[1]
