"""Results tables, cell by cell."""

import dataclasses

import pytest
from tiny import ALL

from aio_toolkit import parts
from aio_toolkit.scoring.base import Scorer
from aio_toolkit.scoring.intervals import Interval
from aio_toolkit.scoring.report import format_table, write_report
from aio_toolkit.scoring.results import MetricInfo, Results, Score, TaskResult, read_results

WER = MetricInfo("WER", "%", False, {}, "asr/scores.wer.tsv")
BLEU = MetricInfo("BLEU", "", True, {}, "st/scores.bleu.tsv")
SI_SDR = MetricInfo("SI-SDR", "dB", True, {}, "sep/scores.si_sdr.tsv")


def interval(value: float, n: int = 9) -> Interval:
    """A score with an interval that is longer above than below."""
    return Interval(value, value - 1, value + 2, n)


def audio_scores(base: float, n: int = 9, target: str = "", metric: str = "si_sdr") -> list[Score]:
    """Every output has a score of its own: `base` and so many tenths."""
    names = ("mixture", "masked", "wiener", "oracle_codec", "oracle_wiener", "ideal_mask")
    scores = []
    for i, name in enumerate(names):
        of_name = interval(base + i / 10, n if name == "masked" else 9)
        scores.append(Score(name, target, metric, "", of_name))
    for name, tenths in (("masked", 0.7), ("wiener", 0.8)):
        scores.append(Score(name, target, metric, "mixture", interval(base + tenths)))
    return scores


def result_of(name: str, metrics: dict, scores: list[Score], **rest) -> TaskResult:
    task = ALL[name]
    made = {"hypothesis", *(score.output for score in scores)}
    of_kind = parts.find(Scorer, task.output).columns
    columns = [c for c in of_kind if c.output in made and c.over != "fixed_filter"]
    numbers = {"num_utterances": 9, "notes": []} | rest
    return TaskResult(
        name=name,
        metrics=metrics,
        targets=list(task.targets),
        columns=columns,
        ranking="hypothesis" if task.output == "text" else "masked",
        scores=scores,
        **numbers,
    )


def text_result(name: str, metric: str, info: MetricInfo, value: float, n: int, note: str):
    scores = [Score("hypothesis", "", metric, "", interval(value, n))]
    return result_of(name, {metric: info}, scores, num_utterances=n, notes=[note])


def make_results(**changed) -> Results:
    """What `score_decode_dir` returns of a test set with all kinds of tasks."""
    errors = "1 insertions, 2 deletions, 3 substitutions in 100 words."
    sep = audio_scores(10) + audio_scores(20, target="spk1")
    sep += audio_scores(30, n=4, target="spk2")
    silent = "2 silent references are not scored."
    tasks = [
        text_result("asr", "wer", WER, 12.34, 7, errors),
        text_result("st", "bleu", BLEU, 40, 6, "sacrebleu tok:13a."),
        result_of("sep", {"si_sdr": SI_SDR}, sep),
        result_of("enh", {"si_sdr": SI_SDR}, audio_scores(50), notes=[silent]),
    ]
    how = {"level": 0.95, "resamples": 1000, "seed": 0}
    results = Results("data/test", 16000, how, ["WER in %.", "gain = score less mixture."], tasks)
    return dataclasses.replace(results, **changed)


def task_of(results: Results, name: str) -> TaskResult:
    return next(task for task in results.tasks if task.name == name)


def cells_of(table: str) -> dict[str, dict[str, str]]:
    """Cells by the first cell of their row and the title of their column."""
    lines = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("|")]
    header, _, *rows = [[cell.strip() for cell in line] for line in lines]
    return {row[0]: dict(zip(header, row, strict=True)) for row in rows}


def audio_row(task: str, metric: str, base: int, n: str) -> dict[str, str]:
    def with_interval(tenths: int) -> str:
        return f"{base}.{tenths} [{base - 1}.{tenths}, {base + 2}.{tenths}]"

    return {
        "task": task,
        "metric": metric,
        "score": "-",
        "masked": with_interval(1),
        "wiener": with_interval(2),
        "mixture": f"{base}.0",
        "oracle codec": f"{base}.3",
        "oracle wiener": f"{base}.4",
        "ideal mask": f"{base}.5",
        "gain": with_interval(7),
        "wiener gain": with_interval(8),
        "utts": n,
    }


def test_an_audio_task_shows_every_output_under_its_own_title():
    cells = cells_of(format_table(make_results()))
    assert cells["sep"] == audio_row("sep", "SI-SDR", 10, "9")
    assert cells["enh"] == audio_row("enh", "SI-SDR", 50, "9")


def test_targets_are_below_their_task_where_it_has_several():
    cells = cells_of(format_table(make_results()))
    assert list(cells) == ["asr", "st", "sep", "- spk1", "- spk2", "enh"]
    assert cells["- spk1"] == audio_row("- spk1", "", 20, "9")
    assert cells["- spk2"] == audio_row("- spk2", "", 30, "4")


def test_a_text_task_shows_its_score_and_nothing_of_audio():
    row = cells_of(format_table(make_results()))["asr"]
    assert row.pop("metric") == "WER"
    assert row.pop("score") == "12.3 [11.3, 14.3]"
    assert row.pop("utts") == "7" and row.pop("task") == "asr"
    assert set(row.values()) == {"-"}


def test_a_table_of_text_has_no_columns_of_audio():
    results = make_results()
    table = format_table(dataclasses.replace(results, tasks=results.tasks[:2]))
    assert list(cells_of(table)["asr"]) == ["task", "metric", "score", "utts"]


def test_utterances_that_could_not_be_scored_do_not_count():
    results = make_results()
    scores = audio_scores(50, n=6)
    enh = dataclasses.replace(task_of(results, "enh"), scores=scores, num_utterances=9)
    table = format_table(dataclasses.replace(results, tasks=[enh]))
    assert cells_of(table)["enh"]["utts"] == "6"


def test_what_was_not_made_or_not_scored_is_a_dash():
    nothing = Interval(None, None, None, 0)
    scores = []
    for score in audio_scores(10):
        if score.output in ("ideal_mask", "masked") and not score.over:
            score = dataclasses.replace(score, interval=nothing)
        if score.output not in ("wiener", "oracle_codec"):
            scores.append(score)
    table = format_table(make_results(tasks=[result_of("sep", {"si_sdr": SI_SDR}, scores)]))
    row = cells_of(table)["sep"]
    dashes = {title for title, cell in row.items() if cell == "-"}
    assert dashes == {"masked", "ideal mask"}


@pytest.mark.parametrize(
    ("value", "cell"), [(-0.04, "0.0"), (-0.06, "-0.1"), (99.96, "100.0"), (3, "3.0")]
)
def test_scores_are_rounded_to_one_decimal_without_a_minus_zero(value, cell):
    scores = [Score("mixture", "", "si_sdr", "", interval(value))]
    table = format_table(make_results(tasks=[result_of("enh", {"si_sdr": SI_SDR}, scores)]))
    assert cells_of(table)["enh"]["mixture"] == cell


def test_every_metric_of_a_task_has_its_rows():
    level = MetricInfo("level", "", True, {}, "enh/scores.level.tsv")
    scores = audio_scores(10) + audio_scores(70, metric="level")
    enh = result_of("enh", {"si_sdr": SI_SDR, "level": level}, scores)
    lines = format_table(make_results(tasks=[enh])).splitlines()
    first, second = (cells_of("\n".join([*lines[:2], line]))["enh"] for line in lines[2:])
    # A table of audio alone has no column of text.
    wanted = audio_row("enh", "SI-SDR", 10, "9"), audio_row("enh", "level", 70, "9")
    assert [first, second] == [
        {title: cell for title, cell in row.items() if title != "score"} for row in wanted
    ]


def test_columns_of_a_table_align():
    assert len({len(line) for line in format_table(make_results()).splitlines()}) == 1


def test_the_report_is_written_for_people_and_for_machines(tmp_path):
    results = make_results()
    table = write_report(tmp_path, results)
    assert read_results(tmp_path) == results
    report = (tmp_path / "RESULTS.md").read_text()
    assert table == format_table(results) and table in report
    assert report.startswith("# Results on data/test\n")


def test_the_report_explains_intervals_metrics_and_columns(tmp_path):
    table = write_report(tmp_path, make_results())
    report = (tmp_path / "RESULTS.md").read_text()
    legend = report.split(table)[1].split("\n\n")[0]
    assert legend == (
        "\nIntervals: 95 % bootstrap over utterances.\nWER in %.\ngain = score less mixture."
    )


def test_the_report_notes_errors_signature_and_silent_references(tmp_path):
    write_report(tmp_path, make_results())
    report = (tmp_path / "RESULTS.md").read_text()
    assert report.endswith(
        "\n\n- asr: 1 insertions, 2 deletions, 3 substitutions in 100 words.\n"
        "- st: sacrebleu tok:13a.\n"
        "- enh: 2 silent references are not scored.\n"
    )


def test_a_report_without_notes_ends_with_its_legend(tmp_path):
    enh = result_of("enh", {"si_sdr": SI_SDR}, audio_scores(50))
    write_report(tmp_path, make_results(tasks=[enh]))
    assert (tmp_path / "RESULTS.md").read_text().endswith("\ngain = score less mixture.\n")
