"""Results tables, cell by cell."""

import json

import pytest

from aio_toolkit.errors import AioError
from aio_toolkit.files import write_json
from aio_toolkit.scoring.report import combine, format_table, markdown_table, write_report


def figure(value: float) -> dict:
    """A score with an interval that is longer above than below."""
    return {"value": value, "lo": value - 1, "hi": value + 2, "n": 9}


def audio_figures(base: float, n: int = 9) -> dict:
    """Every output has a score of its own: `base` and so many tenths."""
    names = ("mixture", "codec", "wiener", "oracle_codec", "oracle_wiener", "ideal_mask")
    outputs = {name: figure(base + i / 10) for i, name in enumerate(names)}
    gains = {"codec": figure(base + 0.7), "wiener": figure(base + 0.8)}
    outputs["codec"]["n"] = n
    return {"outputs": outputs, "improvement": gains}


def make_results(**changed) -> dict:
    """What `score_decode_dir` returns of a test set with all kinds of tasks."""
    sep = {"metric": "SI-SDR", "unit": "dB", "num_utterances": 9, "silent_references": 0}
    enh = {"metric": "SI-SDR", "unit": "dB", "num_utterances": 8, "silent_references": 2}
    asr = {"metric": "WER", "unit": "%", "score": figure(12.34), "num_utterances": 7}
    asr |= {"words": 100, "insertions": 1, "deletions": 2, "substitutions": 3}
    st = {"metric": "BLEU", "unit": "", "score": figure(40), "num_utterances": 6}
    tasks = {
        "asr": asr,
        "st": st | {"signature": "tok:13a"},
        "sep": sep
        | audio_figures(10)
        | {"targets": {"spk1": audio_figures(20), "spk2": audio_figures(30, n=4)}},
        "enh": enh | audio_figures(50) | {"targets": {"speech": audio_figures(50)}},
    }
    return {"data": "data/test", "tasks": tasks} | changed


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
        "score": with_interval(1),
        "wiener": with_interval(2),
        "mixture": f"{base}.0",
        "oracle": f"{base}.3",
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


def test_targets_stand_below_their_task_where_it_has_several():
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


def test_what_was_not_made_or_not_scored_is_a_dash():
    results = make_results()
    sep = results["tasks"]["sep"]
    for name in ("wiener", "oracle_codec"):
        del sep["outputs"][name]
    del sep["improvement"]["wiener"]
    nothing = {"value": None, "lo": None, "hi": None, "n": 0}
    sep["outputs"]["ideal_mask"] = sep["outputs"]["codec"] = nothing
    row = cells_of(format_table(results))["sep"]
    dashes = {title for title, cell in row.items() if cell == "-"}
    assert dashes == {"score", "wiener", "oracle", "ideal mask", "wiener gain"}


@pytest.mark.parametrize(
    ("value", "cell"), [(-0.04, "0.0"), (-0.06, "-0.1"), (99.96, "100.0"), (3, "3.0")]
)
def test_scores_are_rounded_to_one_decimal_without_a_minus_zero(value, cell):
    results = make_results()
    results["tasks"]["sep"]["outputs"]["mixture"]["value"] = value
    assert cells_of(format_table(results))["sep"]["mixture"] == cell


def test_columns_of_a_table_align():
    table = markdown_table(["a", "long"], [["xyz", "1"]])
    assert table == "| a   | long |\n| --- | ---: |\n| xyz |    1 |\n"
    assert len({len(line) for line in format_table(make_results()).splitlines()}) == 1


def test_the_report_is_written_for_people_and_for_machines(tmp_path):
    results = make_results()
    table = write_report(tmp_path, results)
    assert json.loads((tmp_path / "results.json").read_text()) == results
    report = (tmp_path / "RESULTS.md").read_text()
    assert table == format_table(results) and table in report
    assert report.startswith("# Results on data/test\n")


def test_the_report_notes_errors_signature_and_silent_references(tmp_path):
    write_report(tmp_path, make_results())
    report = (tmp_path / "RESULTS.md").read_text()
    assert report.endswith(
        "- asr: 1 insertions, 2 deletions, 3 substitutions in 100 words.\n"
        "- st: sacrebleu tok:13a.\n"
        "- enh: 2 silent references are not scored.\n"
    )


# --- several experiments ---


@pytest.fixture
def experiments(tmp_path):
    """The function that writes the results of an experiment; returns its folder."""

    def make(name: str, results: dict):
        write_json(tmp_path / name / "results.json", results)
        return tmp_path / name

    return make


def test_experiments_stand_side_by_side(experiments):
    first = experiments("a", make_results())
    results = make_results()
    results["tasks"] = {"asr": results["tasks"]["asr"] | {"score": figure(50)}}
    second = experiments("b", results)
    # Folders and files are both taken.
    table = combine([first, second / "results.json"])
    assert cells_of(table) == {
        str(first): {
            "experiment": str(first),
            "asr WER": "12.3 [11.3, 14.3]",
            "st BLEU": "40.0 [39.0, 42.0]",
            "sep codec dB": "10.1 [9.1, 12.1]",
            "sep wiener dB": "10.2 [9.2, 12.2]",
            "enh codec dB": "50.1 [49.1, 52.1]",
            "enh wiener dB": "50.2 [49.2, 52.2]",
        },
        str(second): {
            "experiment": str(second),
            "asr WER": "50.0 [49.0, 52.0]",
            "st BLEU": "-",
            "sep codec dB": "-",
            "sep wiener dB": "-",
            "enh codec dB": "-",
            "enh wiener dB": "-",
        },
    }
    assert "not comparable" not in table


def test_experiments_on_different_data_are_marked(experiments):
    paths = [experiments("a", make_results()), experiments("b", make_results(data="data/dev"))]
    assert combine(paths).endswith("\nDifferent data, not comparable: data/dev, data/test\n")


def test_comparing_what_was_not_scored_is_an_error(tmp_path, experiments):
    with pytest.raises(AioError, match="does not exist"):
        combine([tmp_path / "exp"])
    with pytest.raises(AioError, match="is not a results file of stage 6. Run stage 6"):
        combine([experiments("a", {"other": 1})])
