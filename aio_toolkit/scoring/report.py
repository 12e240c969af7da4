"""RESULTS.md and results.json of a decode folder, and tables of several of them.

`results.json` has, under `tasks` and the task's name: `metric`, `unit`, `num_utterances`, `per_utterance` (a
file) and either `score` (text) or `outputs` and `improvement` by output, for the task and for each of its
`targets` (audio). A figure is `{"value", "lo", "hi", "n"}`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path, read_json, write_json

RESULTS_JSON = "results.json"
RESULTS_MD = "RESULTS.md"
Figure = dict[str, Any]

HEADER = (
    "task", "metric", "score", "wiener", "mixture", "oracle", "oracle wiener", "ideal mask", "gain", "wiener gain",
    "utts",
)  # fmt: skip
LEGEND = """\
Intervals: 95 % bootstrap over utterances. WER in %, lower is better; BLEU and SI-SDR (dB), higher is better.
Audio: score = the codec's output; wiener = that output as a Wiener filter on the mixture; mixture = the input
unprocessed, the floor; oracle = the true targets through the codec, the ceiling of score; oracle wiener = the same in
the filter, their phase kept where it fits the mixture, the ceiling of wiener; ideal mask = the mixture under masks made
of the true targets, without a codec; gain = score less mixture, wiener gain = wiener less mixture."""


def write_report(decode: Path, results: dict[str, Any]) -> str:
    """Write `RESULTS.md` and `results.json` in the decode folder; return the table."""
    table = format_table(results)
    notes = "".join(f"- {note}\n" for note in _notes(results))
    with atomic_path(decode / RESULTS_MD) as temporary:
        text = f"# Results on {results['data']}\n\n{table}\n{LEGEND}\n"
        temporary.write_text(text + (f"\n{notes}" if notes else ""), encoding="utf-8")
    write_json(decode / RESULTS_JSON, results)
    return table


def format_table(results: dict[str, Any]) -> str:
    """One row per task, and below an audio task one per target, in Markdown with aligned columns."""
    rows = []
    for name, result in results["tasks"].items():
        if "score" in result:
            rows.append(_text_row(name, result))
        else:
            rows.append(_audio_row(name, result["metric"], result))
            if len(result["targets"]) > 1:
                rows += [_audio_row(f"- {target}", "", figures) for target, figures in result["targets"].items()]
    return markdown_table(HEADER, rows)


def combine(paths: Sequence[Path]) -> str:
    """One table of several experiments, a row each: text scores, and SI-SDR of codec and Wiener output.

    Args:
        paths: `results.json` files, or the decode folders that hold them.
    """
    paths = [path / RESULTS_JSON if path.is_dir() else path for path in paths]
    experiments = {str(path.parent): read_json(path) for path in paths}
    columns: dict[tuple[str, str], str] = {}
    for path, results in experiments.items():
        if "tasks" not in results:
            raise AioError(f"{path}/{RESULTS_JSON} is not a results file of stage 6. Run stage 6 (scoring) again.")
        for name, result in results["tasks"].items():
            for output in ("score",) if "score" in result else ("codec", "wiener"):
                title = f"{name} {result['metric']}" if output == "score" else f"{name} {output} dB"
                columns[name, output] = title
    rows = [
        [path, *(figure_cell(_lookup(results, *column)) for column in columns)] for path, results in experiments.items()
    ]
    datasets = {results["data"] for results in experiments.values()}
    warning = "" if len(datasets) == 1 else f"\nDifferent data, not comparable: {', '.join(sorted(datasets))}\n"
    return markdown_table(["experiment", *columns.values()], rows) + warning


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table that also lines up as plain text: first column to the left, the rest to the right."""
    # A column rule is a colon and at least one dash.
    widths = [max(2, *(len(row[i]) for row in (header, *rows))) for i in range(len(header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def line(cells: Sequence[str]) -> str:
        first, *rest = zip(cells, widths, strict=True)
        return "| " + " | ".join([first[0].ljust(first[1]), *(c.rjust(w) for c, w in rest)]) + " |\n"

    return line(header) + line(rule) + "".join(line(row) for row in rows)


def _text_row(name: str, result: dict[str, Any]) -> list[str]:
    return [name, result["metric"], figure_cell(result["score"]), *["-"] * 7, str(result["num_utterances"])]


def _audio_row(name: str, metric: str, figures: dict[str, Any]) -> list[str]:
    outputs, gains = figures["outputs"], figures["improvement"]
    return [
        name,
        metric,
        figure_cell(outputs.get("codec")),
        figure_cell(outputs.get("wiener")),
        *(_short_cell(outputs.get(output)) for output in ("mixture", "oracle_codec", "oracle_wiener", "ideal_mask")),
        figure_cell(gains.get("codec")),
        figure_cell(gains.get("wiener")),
        str(outputs["codec"]["n"]),
    ]


def _lookup(results: dict[str, Any], task: str, output: str) -> Figure | None:
    result = results["tasks"].get(task, {})
    return result.get("score") if output == "score" else result.get("outputs", {}).get(output)


def figure_cell(figure: Figure | None) -> str:
    """A figure and its interval, to one decimal."""
    if figure is None or figure["value"] is None:
        return "-"
    return f"{_decimal(figure['value'])} [{_decimal(figure['lo'])}, {_decimal(figure['hi'])}]"


def _short_cell(figure: Figure | None) -> str:
    return "-" if figure is None or figure["value"] is None else _decimal(figure["value"])


def _decimal(value: float) -> str:
    return f"{round(value, 1) + 0.0:.1f}"  # adding zero turns -0.0 into 0.0


def _notes(results: dict[str, Any]) -> list[str]:
    notes = []
    for name, result in results["tasks"].items():
        if result["metric"] == "WER":
            counts = (f"{result[kind]} {kind}" for kind in ("insertions", "deletions", "substitutions"))
            notes.append(f"{name}: {', '.join(counts)} in {result['words']} words.")
        elif result["metric"] == "BLEU":
            notes.append(f"{name}: sacrebleu {result['signature']}.")
        elif result["silent_references"]:
            notes.append(f"{name}: {result['silent_references']} silent references are not scored.")
    return notes
