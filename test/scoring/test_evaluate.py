"""A decode folder from files to tables."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aio_toolkit.data.audio import read_audio, write_wav
from aio_toolkit.data.datadir import Utterance, read_data_dir, write_data_dir
from aio_toolkit.errors import AioError
from aio_toolkit.scoring.evaluate import score_decode_dir
from aio_toolkit.scoring.report import combine, format_table, markdown_table, write_report
from aio_toolkit.scoring.separation import FLOOR_DB
from aio_toolkit.tasks import TASKS

RATE, SIZE = 8000, 1600
REFERENCES = {"asr": "A B C D", "st": "le chat mange du pain ."}


def _noise(seed: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(SIZE)


def _utterance(folder: Path, task: str, number: int) -> Utterance:
    """The mixture is the sum of its targets; enh adds noise. music-0 has no bass, sound-0 no third sound."""
    id, seed = f"{task}-{number}", 100 * number + 1000 * list(TASKS).index(task)
    wav = str(folder / "wav" / f"{id}.wav")
    if TASKS[task].output == "text":
        write_wav(wav, _noise(seed), RATE)
        return Utterance(id, task, "s", wav, SIZE, {"text": "A B C D", TASKS[task].targets[0]: REFERENCES[task]})
    names = TASKS[task].targets[:2] if id == "sound-0" else TASKS[task].targets
    waves = {name: _noise(seed + i) * (id != "music-0" or name != "bass") for i, name in enumerate(names)}
    write_wav(wav, sum(waves.values()) + (task == "enh") * _noise(seed + 9), RATE)
    targets = {name: str(folder / "wav" / f"{id}_{name}.wav") for name in names}
    for name, path in targets.items():
        write_wav(path, waves[name], RATE)
    return Utterance(id, task, "s", wav, SIZE, targets=targets)


def _decode(decode: Path, utterances: list[Utterance], output: str, noise_db: float) -> None:
    """Estimates with noise; those to be matched by permutation come in reverse, and all of them always."""
    scps: dict[tuple[str, str], list[str]] = {}
    for utterance in utterances:
        task = TASKS[utterance.task]
        if task.output == "text":
            continue
        names = task.targets if not output.startswith("oracle") else tuple(utterance.targets)
        order = names[::-1] if task.match == "permutation" else names
        for seed, (name, source) in enumerate(zip(names, order, strict=True)):
            wave = _noise(seed) * 10 ** (noise_db / 20)
            if source in utterance.targets:
                wave = wave + read_audio(utterance.targets[source], RATE)
            path = decode / task.name / output / f"{utterance.id}_{name}.wav"
            write_wav(path, wave[:-8], RATE, subtype="FLOAT")  # a codec returns a little less
            scps.setdefault((task.name, name), []).append(f"{utterance.id} {path}\n")
    for (task, name), lines in scps.items():
        (decode / task / output / f"{name}.scp").write_text("".join(lines))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Path]:
    """A data dir of three utterances per task, and its decode folder."""
    folder = tmp_path_factory.mktemp("made")
    write_data_dir(folder / "data", [_utterance(folder, task, i) for task in TASKS for i in range(3)])
    utterances, decode = read_data_dir(folder / "data"), folder / "exp" / "decode"
    levels = {"codec": -5.0, "wiener": -10.0, "oracle_codec": -15.0, "oracle_wiener": -20.0}
    for output, noise_db in levels.items():
        _decode(decode, utterances, output, noise_db)
    for task, hypotheses in {
        "asr": ["A B C D", "A X C", ""],
        "st": ["le chat mange", "", REFERENCES["st"]],
    }.items():
        lines = "".join(f"{task}-{i} {text}".strip() + "\n" for i, text in enumerate(hypotheses))
        (decode / task).mkdir()
        (decode / task / "text").write_text(lines)
    return folder / "data", decode


@pytest.fixture(scope="module")
def results(made):
    return score_decode_dir(*made, RATE)


def test_every_task_is_scored(results):
    assert list(results["tasks"]) == list(TASKS)
    assert results["tasks"]["asr"]["score"]["value"] == pytest.approx(100 * (0 + 2 + 4) / 12)
    assert [results["tasks"]["asr"][k] for k in ("words", "deletions", "substitutions")] == [12, 5, 1]
    assert 0 < results["tasks"]["st"]["score"]["value"] < 100


@pytest.mark.parametrize("task", ["sep", "enh", "sound", "music"])
def test_outputs_score_what_their_noise_says(results, task):
    outputs = results["tasks"][task]["outputs"]
    scores = {name: figure["value"] for name, figure in outputs.items()}
    for name, snr_db in {"codec": 5.0, "wiener": 10.0, "oracle_codec": 15.0, "oracle_wiener": 20.0}.items():
        # 8 of 1600 samples are missing, which limits the score to some 23 dB.
        assert scores[name] == pytest.approx(snr_db, abs=2.5)
    gain = results["tasks"][task]["improvement"]["wiener"]["value"]
    assert gain == pytest.approx(scores["wiener"] - scores["mixture"])


def test_the_mixture_is_the_floor(results):
    assert results["tasks"]["sep"]["outputs"]["mixture"]["value"] == pytest.approx(0.0, abs=0.7)
    assert results["tasks"]["enh"]["outputs"]["mixture"]["value"] == pytest.approx(0.0, abs=0.7)


def test_silent_and_absent_references_do_not_count(results):
    music, sound = results["tasks"]["music"], results["tasks"]["sound"]
    assert music["silent_references"] == 1 and sound["silent_references"] == 0
    assert music["targets"]["bass"]["outputs"]["codec"]["n"] == 2
    assert sound["targets"]["sound3"]["outputs"]["codec"]["n"] == 2
    assert music["outputs"]["codec"]["n"] == 3


def test_an_utterance_counts_once_however_many_sources_it_has(made, results):
    lines = (made[1] / "sound/scores.tsv").read_text().splitlines()
    header, *rows = [line.split("\t") for line in lines]
    assert header[:3] == ["utterance", "target", "mixture"] and len(rows) == 8
    by_utterance: dict[str, list[float]] = {}
    for row in rows:
        by_utterance.setdefault(row[0], []).append(float(row[header.index("codec")]))
    expected = np.mean([np.mean(scores) for scores in by_utterance.values()])
    assert results["tasks"]["sound"]["outputs"]["codec"]["value"] == pytest.approx(expected, abs=1e-3)


def test_the_scores_of_each_utterance_are_listed(made, results):
    for name, result in results["tasks"].items():
        lines = (made[1] / result["per_utterance"]).read_text().splitlines()
        assert {line.split("\t")[0] for line in lines[1:]} == {f"{name}-{i}" for i in range(3)}
    assert "music-0\tbass\tsilent\tsilent" in (made[1] / "music/scores.tsv").read_text()


def test_many_processes_find_the_same(made, results):
    assert score_decode_dir(*made, RATE, num_jobs=2, tasks=["music"])["tasks"]["music"] == results["tasks"]["music"]


def test_the_report_is_machine_readable_and_aligned(made, results):
    table = write_report(made[1], results)
    assert json.loads((made[1] / "results.json").read_text()) == results
    report = (made[1] / "RESULTS.md").read_text()
    assert table == format_table(results) and table in report
    assert len({len(line) for line in table.splitlines()}) == 1
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:5]] == ["asr", "st", "sep"]
    assert "- music: 1 silent references are not scored." in report and "tok:13a" in report


def test_a_task_without_output_is_named_with_its_stage(made, tmp_path):
    with pytest.raises(AioError, match=r"no output of task 'asr'. Run stage 5"):
        score_decode_dir(made[0], tmp_path, RATE)
    with pytest.raises(AioError, match="unknown task 'asrr'"):
        score_decode_dir(*made, RATE, tasks=["asrr"])


def test_a_task_that_the_data_dir_lacks_is_named(small):
    with pytest.raises(AioError, match="no utterance of task 'sep'. Its tasks: asr, enh"):
        score_decode_dir(*small, RATE, tasks=["sep"])


def test_tasks_can_be_chosen(small):
    assert list(score_decode_dir(*small, RATE, tasks=["enh"])["tasks"]) == ["enh"]


@pytest.fixture
def small(tmp_path):
    """A data dir of enh and asr, one utterance each, with codec output only."""
    write_data_dir(tmp_path / "data", [_utterance(tmp_path, "asr", 0), _utterance(tmp_path, "enh", 1)])
    decode = tmp_path / "decode"
    _decode(decode, read_data_dir(tmp_path / "data"), "codec", -10.0)
    (decode / "asr").mkdir()
    (decode / "asr/text").write_text("asr-0 A B C D\n")
    return tmp_path / "data", decode


def test_outputs_that_were_not_made_are_left_open(small):
    header, _, _, row = format_table(score_decode_dir(*small, RATE)).splitlines()[:4]
    cells = dict(zip(*([cell.strip() for cell in line.split("|")] for line in (header, row)), strict=True))
    assert cells["task"] == "enh" and cells["score"] != "-"
    assert {cells[name] for name in ("wiener", "oracle", "oracle wiener", "ideal mask", "wiener gain")} == {"-"}


def test_missing_hypotheses_are_listed(small):
    (small[1] / "asr/text").write_text("asr-7 A B C D\n")
    with pytest.raises(AioError, match="asr/text lacks 1 utterances of the data dir: asr-0. Finish stage 5"):
        score_decode_dir(*small, RATE)


def test_missing_waves_are_listed(small):
    (small[1] / "enh/codec/speech.scp").write_text("\n")
    with pytest.raises(AioError, match="enh/codec lacks 1 utterances of the data dir: enh-1"):
        score_decode_dir(*small, RATE)


def test_an_estimate_of_another_length_is_refused(small):
    path = small[1] / "enh/codec/enh-1_speech.wav"
    write_wav(path, np.ones(SIZE // 2), RATE)
    with pytest.raises(AioError, match=f"has {SIZE // 2} samples, utt2num_samples says {SIZE}"):
        score_decode_dir(*small, RATE)


def test_a_silent_estimate_scores_the_floor(small):
    write_wav(small[1] / "enh/codec/enh-1_speech.wav", np.zeros(SIZE), RATE)
    results = score_decode_dir(*small, RATE)
    assert results["tasks"]["enh"]["outputs"]["codec"]["value"] == FLOOR_DB


def test_experiments_stand_side_by_side(made, small):
    for data, decode in (made, small):
        write_report(decode, score_decode_dir(data, decode, RATE))
    table = combine([made[1], small[1] / "results.json"])
    lines = table.splitlines()
    assert "asr WER" in lines[0] and "enh wiener dB" in lines[0] and "music codec dB" in lines[0]
    assert str(made[1]) in lines[2] and str(small[1]) in lines[3]
    assert lines[3].split("|")[-2].strip() == "-"
    assert "Different data, not comparable" in table


def test_comparing_what_was_not_scored_is_an_error(tmp_path):
    with pytest.raises(AioError, match="does not exist"):
        combine([tmp_path / "exp"])


def test_columns_of_a_table_align():
    assert markdown_table(["a", "long"], [["xyz", "1"]]) == "| a   | long |\n| --- | ---: |\n| xyz |    1 |\n"


def test_the_command_writes_and_prints(small):
    command = [
        sys.executable,
        "-m",
        "aio_toolkit.bin.score",
        "--data",
        str(small[0]),
        "--decode",
        str(small[1]),
    ]
    done = subprocess.run([*command, "--sample_rate", str(RATE)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "| asr" in done.stdout and done.stdout in (small[1] / "RESULTS.md").read_text()
    compare = [*command[:3], "--compare", str(small[1])]
    assert "asr WER" in subprocess.run(compare, capture_output=True, text=True).stdout


def test_the_command_without_arguments_says_what_it_needs():
    done = subprocess.run([sys.executable, "-m", "aio_toolkit.bin.score"], capture_output=True, text=True)
    assert done.returncode == 2 and "--data and --decode are required" in done.stderr
