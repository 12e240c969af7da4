"""From a decode folder to scores of all tasks."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tiny import ALL

from aio_toolkit.answers.decode_stamp import DecodeStamp
from aio_toolkit.bin import score as command
from aio_toolkit.data.audio import read_audio
from aio_toolkit.data.datadir import Utterance, read_data_dir, write_data_dir
from aio_toolkit.data.digest import digest_of
from aio_toolkit.data.inputs import read_inputs
from aio_toolkit.data.wav_writer import Subtype, write_wav
from aio_toolkit.errors import AioError
from aio_toolkit.files import write_json
from aio_toolkit.scoring import audio
from aio_toolkit.scoring.audio import AudioScorer
from aio_toolkit.scoring.results import Results, TaskResult, read_results
from aio_toolkit.scoring.run import ScoreRun, score_decode_dir

RATE, SIZE = 8000, 1600
TASKS_YAML = Path(__file__).parents[2] / "egs/TEMPLATE/conf/tasks.yaml"


def noise(*seed: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(SIZE)


def closed_form(reference_S: np.ndarray, estimate_S: np.ndarray) -> float:
    """SI-SDR (Le Roux et al. 2019, equation 3)."""
    reference_S, estimate_S = reference_S.astype(float), estimate_S.astype(float)
    scale = estimate_S @ reference_S / (reference_S @ reference_S)
    error_S = estimate_S - scale * reference_S
    return 10 * np.log10(scale**2 * (reference_S @ reference_S) / (error_S @ error_S))


def write_waves(folder: Path, **waves: np.ndarray) -> dict[str, str]:
    paths = {name: str(folder / f"{name}.wav") for name in waves}
    for name, wave_S in waves.items():
        write_wav(paths[name], wave_S, RATE, subtype=Subtype.float_32)
    return paths


def make_utterance(folder: Path, name: str, number: int) -> Utterance:
    """The mixture is the sum of its targets; that of enh has noise besides."""
    key, wav, task = f"{name}-{number}", str(folder / "wav" / f"{name}-{number}.wav"), ALL[name]
    if task.output == "text":
        write_wav(wav, noise(number), RATE)
        answers = dict.fromkeys(("text", *task.targets), "A B C D")
        return Utterance(key, task, "s", wav, SIZE, answers)
    waves = {target: noise(number, len(name), i) for i, target in enumerate(task.targets)}
    targets = write_waves(folder / "wav" / key, **waves)
    write_wav(wav, sum(waves.values()) + (name == "enh") * noise(number, 9), RATE)
    return Utterance(key, task, "s", wav, SIZE, targets)


def write_decoded(decode: Path, utterances: list[Utterance], output: str, level: float) -> None:
    """References with noise of that level for estimates, and perfect sentences."""
    for name in {utterance.task.name for utterance in utterances}:
        members = [utterance for utterance in utterances if utterance.task.name == name]
        if ALL[name].output == "text":
            lines = "".join(f"{utterance.id} A B C D\n" for utterance in members)
            (decode / name).mkdir(parents=True, exist_ok=True)
            (decode / name / "text").write_text(lines)
            continue
        for i, target in enumerate(ALL[name].targets):
            lines = []
            for utterance in members:
                path = decode / name / output / f"{utterance.id}_{target}.wav"
                wave_S = read_audio(utterance.answers[target], RATE) + level * noise(i, 77)
                write_wav(path, wave_S, RATE, subtype=Subtype.float_32)
                lines.append(f"{utterance.id} {path}\n")
            (decode / name / output / f"{target}.scp").write_text("".join(lines))


def write_stamp(decode: Path) -> None:
    """Decoders' options without a codec: there will be no oracles."""
    DecodeStamp({"decoders": {}}, "0a", RATE, "").claim(decode)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Path]:
    """A data dir of two utterances per task, and its decode folder."""
    folder = tmp_path_factory.mktemp("made")
    utterances = [make_utterance(folder, name, i) for name in ALL for i in range(2)]
    write_data_dir(folder / "data", utterances, ALL)
    utterances, decode = read_data_dir(folder / "data", ALL), folder / "exp" / "decode"
    write_stamp(decode)
    for output, level in (("codec", 0.5), ("wiener", 0.1)):
        write_decoded(decode, utterances, output, level)
    return folder / "data", decode


@pytest.fixture(scope="module")
def results(made) -> Results:
    return score(*made)


def score(data: Path, decode: Path, names: tuple[str, ...] = (), **options) -> Results:
    return score_decode_dir(ScoreRun(data, decode, ALL, names, **options))


def task_of(results: Results, name: str) -> TaskResult:
    return next(task for task in results.tasks if task.name == name)


@pytest.fixture
def small(tmp_path) -> tuple[Path, Path]:
    """A data dir of enh and asr, one utterance each, with codec output only."""
    utterances = [make_utterance(tmp_path, task, 0) for task in ("asr", "enh")]
    write_data_dir(tmp_path / "data", utterances, ALL)
    write_stamp(tmp_path / "decode")
    write_decoded(tmp_path / "decode", read_data_dir(tmp_path / "data", ALL), "codec", 0.3)
    return tmp_path / "data", tmp_path / "decode"


def test_every_task_is_scored_by_its_metric(results):
    found = {
        task.name: (task.metrics[task.first_metric].title, task.num_utterances)
        for task in results.tasks
    }
    text = {"asr": ("WER", 2), "st": ("BLEU", 2)}
    assert found == text | dict.fromkeys(("sep", "enh", "sound", "music"), ("SI-SDR", 2))
    assert list(found) == list(ALL)


@pytest.mark.parametrize("task", ["sep", "enh", "sound", "music"])
def test_scores_of_a_task_are_those_of_its_own_utterances(made, results, task):
    """The scores of all tasks come out of one pool of processes."""
    utterances = [u for u in read_data_dir(made[0], ALL) if u.task.name == task]
    for output, level in (("codec", 0.5), ("wiener", 0.1)):
        scores = []
        for utterance in utterances:
            waves = [read_audio(path, RATE) for path in utterance.answers.values()]
            pairs = [(wave_S, wave_S + level * noise(i, 77)) for i, wave_S in enumerate(waves)]
            scores.append(np.mean([closed_form(*pair) for pair in pairs]))
        found = task_of(results, task).find(output).value
        assert found == pytest.approx(np.mean(scores), abs=1e-3)


def test_perfect_sentences_have_perfect_scores(results):
    assert task_of(results, "asr").value("hypothesis") == 0
    assert task_of(results, "st").value("hypothesis") == pytest.approx(100)


def test_the_conventions_of_the_scores_are_noted(made, results):
    assert results.data == str(made[0]) and results.sample_rate == RATE
    assert results.intervals == {"level": 0.95, "resamples": 1000, "seed": 0}
    si_sdr = task_of(results, "sep").metrics["si_sdr"]
    assert si_sdr.conventions == {"floor_db": -50.0, "ceiling_db": 100.0}


def test_the_legend_explains_each_metric_and_kind_of_answer_once(results):
    directions = [
        "WER in %, lower is better.",
        "BLEU, higher is better.",
        "SI-SDR in dB, higher is better.",
    ]
    assert results.legend[:3] == directions
    text, of_audio = results.legend[3:]
    assert text.startswith("Text: floor = ")
    assert of_audio.startswith("Audio: masked = ")


@pytest.mark.slow
def test_many_processes_find_the_same(made, results):
    again = score(*made, ["st", "music"], num_jobs=2)
    assert again.tasks == [task_of(results, "st"), task_of(results, "music")]


def test_a_task_without_output_is_named_with_its_stage(made, tmp_path):
    write_stamp(tmp_path)
    with pytest.raises(AioError, match="has no output of a task of .*data. Run stage 5"):
        score(made[0], tmp_path)
    with pytest.raises(AioError, match=r"no output of task 'asr'. Run stage 5 .*--tasks asr"):
        score(made[0], tmp_path, ["asr"])


def test_an_unknown_task_is_named(made):
    with pytest.raises(AioError, match="unknown task 'asrr'. Known tasks: asr, st, sep"):
        score(*made, ["asrr"])


def test_a_task_that_the_data_dir_lacks_is_named(small):
    with pytest.raises(AioError, match="no utterance of task 'sep'. Its tasks: asr, enh"):
        score(*small, ["sep"])


def test_tasks_can_be_chosen(small):
    (task,) = score(*small, ["enh"]).tasks
    assert task.name == "enh"
    assert not (small[1] / "asr/scores.wer.tsv").exists()


def test_chosen_tasks_keep_the_order_of_their_file(small):
    results = score(*small, ["enh", "asr"])
    assert [task.name for task in results.tasks] == ["asr", "enh"]


def test_missing_hypotheses_are_listed(small):
    (small[1] / "asr/text").write_text("asr-7 A B C D\n")
    message = "asr/text lacks 1 utterances of the data dir: asr-0. Finish stage 5"
    with pytest.raises(AioError, match=message):
        score(*small)


def test_missing_waves_are_listed_before_anything_is_scored(small):
    (small[1] / "enh/codec/speech.scp").write_text("\n")
    with pytest.raises(AioError, match="enh/codec lacks 1 utterances of the data dir: enh-0"):
        score(*small)
    assert not (small[1] / "asr/scores.wer.tsv").exists()


def test_an_output_of_the_model_must_be_there(small):
    (small[1] / "enh/codec").rename(small[1] / "enh/clean")
    with pytest.raises(AioError, match="enh-0 has no output of: masked, codec, wiener. Run"):
        score(*small)


def test_oracles_go_through_the_codec_that_the_answers_came_from(small, monkeypatch):
    asked = []

    def perfect(mixture_S, sources_NS, codec, wiener) -> dict[str, np.ndarray]:
        asked.append(codec)
        return {"oracle_codec": sources_NS}

    monkeypatch.setattr(audio, "codec_bounds", perfect)
    loaded = SimpleNamespace(hop=32, fingerprint=SimpleNamespace(name="mine"))
    monkeypatch.setattr(audio, "load_once", lambda codec: loaded)
    stamp = DecodeStamp({"decoders": {"audio": {"codec": "mine"}}}, "0a", RATE, "")
    write_json(small[1] / "decode.json", vars(stamp))
    (task,) = score(*small, ["enh"]).tasks
    assert asked == ["mine"]
    assert task.value("oracle_codec") == pytest.approx(100)


def test_answers_to_recordings_that_have_changed_since_are_not_scored(small):
    data, decode = small
    recordings = read_inputs(data, ALL, RATE)
    (decode / "decode.json").unlink()
    stamp = DecodeStamp({"decoders": {}}, "0a", RATE, digest_of(recordings))
    write_json(decode / "decode.json", vars(stamp))
    score(data, decode)
    wave = Path(recordings[0].wav)
    wave.write_bytes(wave.read_bytes() + b"  ")
    with pytest.raises(AioError, match="was decoded before the recordings of .*data changed"):
        score(data, decode)


@pytest.mark.parametrize(("half", "weights"), [(False, "float32"), (True, "float16")])
def test_results_tell_whether_weights_were_rounded(small, half, weights):
    stamp = DecodeStamp({"decoders": {}, "half": half}, "0a", RATE, "")
    write_json(small[1] / "decode.json", vars(stamp))
    results = score(*small, ["asr"])
    assert results.weights == weights
    results.write(small[1])
    assert read_results(small[1]).weights == weights


def test_answers_of_unknown_origin_are_not_scored(small):
    (small[1] / "decode.json").unlink()
    with pytest.raises(AioError, match="decode.json does not exist"):
        score(*small)


# --- floors and ceilings ---


def test_floors_are_fitted_to_train_and_shown_beside_the_scores(made):
    data, decode = made
    results = score(data, decode, ["asr", "enh"], train=data, dev=data)
    # All sentences are the same: who always says it is always right.
    assert task_of(results, "asr").value("floor") == 0
    enh = task_of(results, "enh")
    assert enh.find("fixed_filter") is not None
    titles = [column.title for column in enh.columns]
    assert titles == [
        "codec",
        "wiener",
        "mixture",
        "fixed filter",
        "wiener gain",
        "wiener over filter",
    ]
    gain = enh.value("wiener", over="fixed_filter")
    assert gain == pytest.approx(enh.value("wiener") - enh.value("fixed_filter"))


def test_bounds_are_computed_once_for_all_models(small, tmp_path, monkeypatch):
    options = {"bounds": tmp_path / "bounds"}
    first = score(*small, ["enh"], **options)
    monkeypatch.setattr(AudioScorer, "bounds", lambda *_: pytest.fail("computed again"))
    again = score(*small, ["enh"], **options)
    assert again == first
    assert again.tasks[0].find("mixture") is not None


def test_bounds_of_changed_references_are_computed_anew(small, tmp_path):
    options = {"bounds": tmp_path / "bounds"}
    before = score(*small, ["enh"], **options).tasks[0].value("mixture")
    (enh,) = [u for u in read_data_dir(small[0], ALL) if u.task.name == "enh"]
    write_wav(enh.answers["speech"], noise(77), RATE, subtype=Subtype.float_32)
    after = score(*small, ["enh"], **options).tasks[0].value("mixture")
    assert abs(after - before) > 1


def test_tasks_that_are_not_decoded_are_told_and_left_out(small, capsys):
    shutil.rmtree(small[1] / "asr")
    (task,) = score(*small).tasks
    assert task.name == "enh"
    assert "has no output of task asr: not scored" in capsys.readouterr().out


# --- the command ---


def run_command(monkeypatch, capsys, *arguments: object) -> str:
    monkeypatch.setattr(sys, "argv", ["score", *map(str, arguments)])
    command.main()
    return capsys.readouterr().out


def test_the_command_writes_and_prints(small, monkeypatch, capsys):
    folders = ("--data", small[0], "--decode", small[1])
    printed = run_command(monkeypatch, capsys, *folders, "--tasks_config", TASKS_YAML)
    assert "| asr" in printed and printed in (small[1] / "RESULTS.md").read_text()


def test_the_command_compares_decode_folders_and_keeps_what_that_takes(
    small, monkeypatch, capsys, tmp_path
):
    data, decode = small
    tasks = ("--tasks_config", TASKS_YAML)
    keep = ("--keep", tmp_path / "kept")
    run_command(monkeypatch, capsys, "--data", data, "--decode", decode, *keep, *tasks)
    both = ("--compare", decode, tmp_path / "kept")
    table = run_command(monkeypatch, capsys, *both, *tasks)
    rows = [line for line in table.splitlines() if line.startswith(f"| {tmp_path}")]
    assert "asr WER" in table and "enh gain dB" in table
    assert [row.split()[1] for row in rows] == [str(decode), str(tmp_path / "kept")]
    assert "(+0.00)" in rows[1] and "(+0.00)" not in rows[0]


def test_the_command_scores_only_the_tasks_that_it_is_told(small, monkeypatch, capsys):
    folders = ("--data", small[0], "--decode", small[1], "--tasks_config", TASKS_YAML)
    printed = run_command(monkeypatch, capsys, *folders, "--tasks", "enh")
    assert "| enh" in printed and "| asr" not in printed


def test_the_command_without_arguments_says_what_it_needs():
    words = [sys.executable, "-m", "aio_toolkit.bin.score"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 2 and "--data and --decode are required" in done.stderr
