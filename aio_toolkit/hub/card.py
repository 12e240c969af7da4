"""The card of a model: what people read before they use it, and the hub in its head."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aio_toolkit.layers import count_parameters
from aio_toolkit.models.aio import AioModel
from aio_toolkit.models.size import Size
from aio_toolkit.scoring.results import HALF, Results, TaskResult, read_results

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

# Stages 5 and 6 write their commands into logs beside the decode folder, the newest last.
LOGS, COMMAND_MARK = (".log", ".score.log"), "# "


@dataclass(frozen=True)
class About:
    """What a model does not tell of itself.

    Attributes:
        name: what it is called.
        licence: an identifier of the hub's, such as `cc-by-4.0`.
        trained_on: names of the training data.
        results: files of stage 6, or their folders.
    """

    name: str
    licence: str | None = None
    trained_on: Sequence[str] = ()
    results: Sequence[Path] = ()


def card_of(model: AioModel, about: About, *, half: bool = False) -> str:
    """The text of a card, with the head that the hub reads.

    Args:
        model: what it is of.
        about: what the model does not tell.
        half: its weights are packed as float16.

    Raises:
        AioError: results cannot be read.
    """
    # Half a second to import.
    from huggingface_hub import ModelCard, ModelCardData

    results = [read_results(path) for path in about.results]
    data = ModelCardData(
        language=languages(model) or None,
        license=about.licence,
        library_name="aio_toolkit",
        tags=["audio", *(task.name for task in model.tasks)],
        datasets=list(about.trained_on) or None,
        model_name=about.name,
        eval_results=_to_hub(model, results) or None,
    )
    head = data.to_yaml()
    body = "\n\n".join(_sections(model, about, results, half=half))
    return str(ModelCard(f"---\n{head}\n---\n\n{body}\n"))


def describe_card(text: str) -> list[str]:
    """What a card tells besides the model, a line each: training data, results, licence.

    >>> card = "---\\nlicense: mit\\ndatasets: [mine]\\n---\\n\\n# a model\\n"
    >>> describe_card(card)
    ['trained on: mine', 'licence: mit']
    """
    from huggingface_hub import ModelCard

    try:
        # `ModelCardData`, which its types do not tell.
        data: Any = ModelCard(text, ignore_metadata_errors=True).data
    except Exception as error:  # whatever a card that was edited by hand makes of it
        return [f"its card cannot be read: {' '.join(str(error).split())}"]
    lines = []
    if data.datasets:
        lines.append(f"trained on: {', '.join(_listed(data.datasets))}")
    if data.eval_results:
        lines.append("results:")
        lines += [f"  {_described(result)}" for result in data.eval_results]
    if data.license:
        lines.append(f"licence: {data.license}")
    return lines


def languages(model: AioModel) -> list[str]:
    """The languages of its answers, of the tasks that have any, each once."""
    named = [getattr(task.options, "language", None) for task in model.tasks]
    return list(dict.fromkeys(language for language in named if language))


def size_of(model: AioModel) -> Size:
    """Its parameters, encoder and heads included, and those that one token of one task uses."""
    total = count_parameters(model)
    backbone = model.backbone
    return Size(total, total - count_parameters(backbone) + backbone.active_parameters())


def _sections(
    model: AioModel, about: About, results: Sequence[Results], *, half: bool
) -> Iterable[str]:
    yield f"# {about.name}"
    yield "An all-in-one audio model of aio_toolkit. It answers recordings to these tasks:"
    rows = [f"| `{task.name}` | {task.title} | {', '.join(task.targets)} |" for task in model.tasks]
    yield "\n".join(["| task | | answer |", "|---|---|---|", *rows])

    size = size_of(model)
    rate = model.encoder.grid.sample_rate
    facts = [f"hears {rate} Hz; other rates are resampled, there and back"]
    facts.append(f"{size.total:,} parameters, of which one token of one task uses {size.active:,}")
    kept = "float16, rounded from float32" if half else "float32"
    facts.append(f"weights: {kept}")
    for title, names in (("languages", languages(model)), ("training data", about.trained_on)):
        facts.append(f"{title}: {', '.join(names) or 'not told'}")
    facts.append(f"licence: {about.licence or 'not told'}")
    yield "\n".join(f"- {fact}" for fact in facts)

    yield "## Use"
    load = f'model = aio_toolkit.load("user/{about.name}")  # or its folder, or a .zip of it'
    call = f'model.answer("{model.tasks[0].name}", "recording.wav")'
    yield f"```python\nimport aio_toolkit\n\n{load}\n{call}\n```"
    yield "The files hold tensors and plain values; loading them runs no code of theirs."
    if results:
        yield from _results(results, about)


def _results(results: Sequence[Results], about: About) -> Iterable[str]:
    yield "## Results"
    rows = [_row(found, task) for found in results for task in found.tasks]
    head = [
        "| task | metric | score | 95 % interval | recordings | data | weights |",
        "|---|---|---|---|---|---|---|",
    ]
    yield "\n".join([*head, *rows])
    commands = [command for path in about.results for command in commands_of(path)]
    if commands:
        listed = "\n".join(commands)
        yield f"Made in the folder of the recipe by\n\n```bash\n{listed}\n```"


def commands_of(results: Path) -> list[str]:
    """The commands that decoded and scored, where a recipe has logged them."""
    folder = results if results.is_dir() else results.parent
    commands = []
    for ending in LOGS:
        log = folder.with_name(f"{folder.name}{ending}")
        lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
        newest = [line for line in lines if line.startswith(COMMAND_MARK)][-1:]
        # Day and time come first.
        commands += [line.removeprefix(COMMAND_MARK).split(" ", maxsplit=2)[2] for line in newest]
    return commands


def _row(results: Results, task: TaskResult) -> str:
    metric = task.metrics[task.first_metric]
    interval = task.find(task.ranking)
    score = span = "-"
    if interval is not None and interval.value is not None:
        score, span = f"{interval.value:.1f}", f"{interval.lo:.1f} to {interval.hi:.1f}"
    title = f"{metric.title} ({metric.unit})" if metric.unit else metric.title
    cells = [task.name, title, score, span, str(task.num_utterances), f"`{results.data}`"]
    return f"| {' | '.join([*cells, results.weights])} |"


def _to_hub(model: AioModel, results: Sequence[Results]) -> list["EvalResult"]:
    """Results as the hub lists them."""
    from huggingface_hub import EvalResult

    titles = {task.name: task.title for task in model.tasks}
    return [
        EvalResult(
            task_type=task.name,
            task_name=titles.get(task.name, task.name),
            dataset_type=Path(found.data).name,
            dataset_name=found.data,
            metric_type=task.first_metric,
            metric_name=_metric_name(found, task),
            metric_value=round(task.value(task.ranking), 2),
        )
        for found in results
        for task in found.tasks
    ]


def _metric_name(results: Results, task: TaskResult) -> str:
    """A metric; where the weights were rounded, with what they were rounded to."""
    title = task.metrics[task.first_metric].title
    return f"{title} ({HALF} weights)" if results.weights == HALF else title


def _described(result: Any) -> str:
    where = f"{result.task_name or result.task_type}, {result.dataset_name}"
    return f"{where}: {result.metric_name or result.metric_type} {result.metric_value}"


def _listed(names: Any) -> list[str]:
    return [names] if isinstance(names, str) else list(map(str, names))
