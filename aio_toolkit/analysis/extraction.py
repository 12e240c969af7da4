"""Sub-networks for single tasks, and what they lose and gain against the whole model."""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from aio_toolkit import parts
from aio_toolkit.analysis.routing import measure_routing
from aio_toolkit.decoding.run import SplitDecoder, decode_split
from aio_toolkit.dump.split import DumpDataset, Split
from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path, write_json
from aio_toolkit.layers import count_parameters
from aio_toolkit.models.aio import AioModel
from aio_toolkit.models.batch import Example, collate
from aio_toolkit.models.checkpoint import MODEL, LoadedAio, load_aio
from aio_toolkit.models.subnetwork import Kept, choose_experts, extract
from aio_toolkit.moe.base import Tables
from aio_toolkit.scoring.metrics.base import Metric
from aio_toolkit.scoring.run import score_decode_dir
from aio_toolkit.tables import decimal, markdown_table
from aio_toolkit.tasks import Task, get_task

# Utterances that models are timed on, and how often they take turns.
TIMED_UTTERANCES, ROUNDS = 16, 5
LEGEND = """\
experts = experts kept over all layers; backbone = share of the backbone's parameters kept; size = the
checkpoint's; speed = how many times faster than the whole model the encoder and backbone are on the same
utterances, one thread pool, medians of alternating runs; score = the task's first metric, or the gain of the
filtered output over the mixture in it; loss = how much worse the score is than the whole model's, in per cent
of it."""


class Extraction:
    """Cuts models for single tasks out of a trained one."""

    @dataclass
    class Config:
        """Which experts are kept, and what the sub-networks are compared by.

        Attributes:
            min_load: experts with more than this share of an even load are kept; 0 keeps all
            visited.
            max_experts: at most so many experts of a layer, the busiest; null: no limit.
            budgets: values of `max_experts` to compare in a table.
            decode: how the sub-networks of that table are decoded.
        """

        min_load: float = 0.0
        max_experts: int | None = None
        budgets: list[int] = field(default_factory=list)
        decode: SplitDecoder.Config = field(default_factory=SplitDecoder.Config)

    def __init__(self, config: Config, loaded: LoadedAio, tables: Tables, out: Path):
        """Make ready to cut.

        Args:
            config: options.
            loaded: the whole model.
            tables: its routing on data that is not the test data.
            out: folder of the sub-networks.
        """
        self.config, self.loaded, self.tables, self.out = config, loaded, tables, out

    def write(self, task: Task) -> str:
        """Write the sub-network of a task to `<out>/<task>`; a line says how much of the model it
        is."""
        small, kept = self._cut(task, self.config.max_experts)
        folder = self.out / task.name
        small.save(folder / MODEL)
        write_json(folder / "kept_experts.json", kept)
        share = 100 * self._share(small)
        counts = " ".join(f"{name}:{len(experts)}" for name, experts in kept.items())
        return (
            f"{folder / MODEL}: {share:.1f} % of the backbone's parameters, experts kept {counts}"
        )

    def compare(self, tasks: Sequence[Task], test: Split, num_jobs: int = 1) -> str:
        """Extract each task with all experts that it visits and by every budget; decode and score
        each.

        Args:
            tasks: tasks to extract.
            test: what to score on.
            num_jobs: processes that score.

        Returns:
            The table, which is also written to `<out>/EXTRACTION.md`.
        """
        rows = []
        self.loaded.save(self.out / "whole" / MODEL)
        for task in tasks:
            rows += self._rows(task, test, num_jobs)
        header = ["task", "budget", "experts", "backbone", "size MB", "speed", "score", "loss %"]
        table = markdown_table(header, rows)
        with atomic_path(self.out / "EXTRACTION.md") as temporary:
            text = f"# Sub-networks on {test.data}\n\n{table}\n{LEGEND}\n"
            temporary.write_text(text, encoding="utf-8")
        return table

    def _rows(self, task: Task, test: Split, num_jobs: int) -> list[list[str]]:
        """A row for the whole model, and one for each sub-network of a task."""
        dataset = DumpDataset(test, [task])
        folder = self.out / "whole"
        whole = self._score(folder, task, test, num_jobs)
        total = sum(table.count_GE.shape[1] for table in self.tables.values())
        rows = [_Row(task, "whole", total, 1.0, folder, 1.0, whole)]
        for budget in (None, *sorted(self.config.budgets, reverse=True)):
            small, kept = self._cut(task, budget)
            folder = self.out / f"{task.name}_{budget or 'visited'}"
            small.save(folder / MODEL)
            speed = time_ratio(self.loaded.model, small.model, dataset)
            score = self._score(folder, task, test, num_jobs)
            experts = sum(len(experts) for experts in kept.values())
            name = str(budget or "visited")
            rows.append(_Row(task, name, experts, self._share(small), folder, speed, score))
        return [row.cells(whole) for row in rows]

    def _cut(self, task: Task, max_experts: int | None) -> tuple[LoadedAio, Kept]:
        names = [known.name for known in self.loaded.model.tasks]
        index = names.index(task.name)
        kept = choose_experts(self.tables, index, self.config.min_load, max_experts)
        model = extract(self.loaded.model, task, kept)
        return dataclasses.replace(self.loaded, model=model), kept

    def _share(self, small: LoadedAio) -> float:
        whole = count_parameters(self.loaded.model.backbone)
        return count_parameters(small.model.backbone) / whole

    def _score(self, folder: Path, task: Task, test: Split, num_jobs: int) -> float:
        """Decode and score one task: its first metric, as a gain where there is one."""
        decode = folder / "decode"
        decode_split(self.config.decode, folder, test, decode, [task.name])
        results = score_decode_dir(test.data, decode, test.tasks, [task.name], num_jobs)
        result = results.tasks[0]
        shown = ([c for c in result.columns if c.over] or result.columns)[-1]
        return result.value(shown.output, shown.over)


@dataclass(frozen=True)
class _Row:
    """What is known of one model.

    Attributes:
        task: the task that it answers.
        budget: how many experts of a layer it may keep.
        experts: experts kept over all layers.
        share: share of the backbone's parameters kept.
        folder: where it is.
        speed: how many times faster than the whole model it is.
        score: its score.
    """

    task: Task
    budget: str
    experts: int
    share: float
    folder: Path
    speed: float
    score: float

    def cells(self, whole: float) -> list[str]:
        """The row, beside the score of the whole model."""
        better = parts.find(Metric, self.task.metrics[0]).higher_is_better
        worse = whole - self.score if better else self.score - whole
        loss = round(100 * worse / abs(whole), 1) + 0.0  # no minus zero
        size = (self.folder / MODEL).stat().st_size / 1e6
        return [
            self.task.name,
            self.budget,
            str(self.experts),
            f"{100 * self.share:.1f} %",
            decimal(size),
            decimal(self.speed, 2),
            decimal(self.score, 2),
            f"{loss:+.1f}",
        ]


def open_extraction(
    config: Extraction.Config, model_dir: Path, dev: Split, out: Path
) -> Extraction:
    """An extraction from a trained model, whose routing is measured on a split.

    Raises:
        AioError: the model has no experts.
    """
    loaded = load_aio(model_dir / MODEL)
    if not loaded.model.backbone.moe_layers():
        raise AioError(f"{model_dir} is dense: it has no experts to choose from.")
    tables = measure_routing(loaded.model, DumpDataset(dev, loaded.model.tasks))
    return Extraction(config, loaded, tables, out)


def chosen_tasks(model: AioModel, names: Sequence[str]) -> list[Task]:
    """The tasks of a model with these names; all of them for no names."""
    known = {task.name: task for task in model.tasks}
    return [get_task(known, name) for name in names or known]


@torch.inference_mode()
def time_ratio(whole: AioModel, small: AioModel, dataset: DumpDataset) -> float:
    """Time of the whole model over that of the small one, medians over rounds in which they take
    turns."""
    members = dataset.utterances[:TIMED_UTTERANCES]
    examples = [Example(u.id, u.task, dataset.feats[u.id]) for u in members]
    seconds: dict[AioModel, list[float]] = {whole: [], small: []}
    for _ in range(ROUNDS):
        for model, times in seconds.items():
            batch = collate(examples, model.tasks)
            start = time.perf_counter()
            model.encode(batch.feats_BTF, batch.lengths_B, batch.task_B)
            times.append(time.perf_counter() - start)
    medians = [sorted(times)[ROUNDS // 2] for times in seconds.values()]
    return medians[0] / medians[1]
