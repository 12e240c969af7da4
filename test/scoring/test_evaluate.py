"""From a decode folder to scores: which wave meets which reference, and what is averaged."""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aio_toolkit.bin import score as command
from aio_toolkit.data.audio import read_audio, write_wav
from aio_toolkit.data.datadir import Utterance, read_data_dir, write_data_dir
from aio_toolkit.errors import AioError
from aio_toolkit.scoring.bootstrap import mean_figure
from aio_toolkit.scoring.evaluate import (
    report_audio_task,
    score_decode_dir,
    score_text_task,
    score_utterance,
)
from aio_toolkit.scoring.outputs import AudioOutputs
from aio_toolkit.scoring.separation import CEILING_DB, FLOOR_DB
from aio_toolkit.tasks import TASKS

RATE, SIZE = 8000, 1600
NAN = np.nan


def noise(*seed: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(SIZE)


def closed_form(reference_S: np.ndarray, estimate_S: np.ndarray) -> float:
    """SI-SDR (Le Roux et al. 2019, equation 3)."""
    reference_S, estimate_S = reference_S.astype(float), estimate_S.astype(float)
    scale = estimate_S @ reference_S / (reference_S @ reference_S)
    error_S = estimate_S - scale * reference_S
    return 10 * np.log10(scale**2 * (reference_S @ reference_S) / (error_S @ error_S))


# --- one utterance ---


def write_waves(folder: Path, **waves: np.ndarray) -> dict[str, str]:
    paths = {name: str(folder / f"{name}.wav") for name in waves}
    for name, wave_S in waves.items():
        write_wav(paths[name], wave_S, RATE, subtype="FLOAT")
    return paths


def outputs_of(folder: Path, task: str, references: dict, estimates: dict) -> AudioOutputs:
    """An utterance whose mixture is the sum of its references and some noise, and its estimates."""
    mixture = write_waves(folder, mixture=sum(references.values()) + noise(99))["mixture"]
    targets = write_waves(folder / "references", **references)
    utterance = Utterance(f"{task}-0", task, "s", mixture, SIZE, targets=targets)
    specs = {name: write_waves(folder / name, **waves) for name, waves in estimates.items()}
    return AudioOutputs(utterance, specs)


def test_permuted_estimates_meet_references_as_in_the_best_of_all_orders(tmp_path):
    references = {f"sound{i}": noise(i) for i in (1, 2, 3)}
    order, gains = [3, 1, 2], [0.5, -2.0, 1.0]
    estimates = {
        f"sound{i}": gain * (noise(source) + noise(50 + i))
        for i, source, gain in zip((1, 2, 3), order, gains, strict=True)
    }
    outputs = outputs_of(tmp_path, "sound", references, {"codec": estimates})
    candidates = [
        [closed_form(r, e) for r, e in zip(references.values(), shuffled, strict=True)]
        for shuffled in itertools.permutations(estimates.values())
    ]
    found_N = score_utterance(outputs, RATE)["codec"]
    np.testing.assert_allclose(found_N, max(candidates, key=sum), atol=1e-3)


def test_a_surplus_estimate_is_not_scored(tmp_path):
    references = {f"sound{i}": noise(i) for i in (1, 2)}
    estimates = {
        "sound1": noise(50),
        "sound2": noise(2) + noise(51),
        "sound3": noise(1) + 2 * noise(52),
    }
    outputs = outputs_of(tmp_path, "sound", references, {"wiener": estimates})
    want = [closed_form(noise(1), estimates["sound3"]), closed_form(noise(2), estimates["sound2"])]
    np.testing.assert_allclose(score_utterance(outputs, RATE)["wiener"], want, atol=1e-3)


def test_queried_estimates_meet_the_references_of_their_name(tmp_path):
    names = ("vocals", "drums", "bass", "other")
    references = {name: noise(i) for i, name in enumerate(names)}
    estimates = {name: noise(i) + noise(60 + i) for i, name in enumerate(names)}
    # Drums and bass are taken for each other; each is scored for what it is called all the same.
    estimates["drums"], estimates["bass"] = noise(2) + 0.2 * noise(1), noise(1) + 0.2 * noise(2)
    outputs = outputs_of(tmp_path, "music", references, {"codec": estimates, "wiener": references})
    scores = score_utterance(outputs, RATE)
    want = [closed_form(references[name], estimates[name]) for name in names]
    np.testing.assert_allclose(scores["codec"], want, atol=1e-3)
    np.testing.assert_allclose(scores["wiener"], [CEILING_DB] * 4, atol=1e-3)


@pytest.mark.parametrize("task", ["sep", "enh"])
def test_the_mixture_is_scored_against_every_reference(tmp_path, task):
    names = ("speech",) if task == "enh" else ("spk1", "spk2")
    references = {name: (i + 1) * noise(i) for i, name in enumerate(names)}
    outputs = outputs_of(tmp_path, task, references, {})
    mixture_S = sum(references.values()) + noise(99)
    want = [closed_form(reference_S, mixture_S) for reference_S in references.values()]
    np.testing.assert_allclose(score_utterance(outputs, RATE)["mixture"], want, atol=1e-3)


def test_an_estimate_may_lack_its_last_samples(tmp_path):
    """A codec leaves out the end of its last frame: it counts as silence."""
    reference_S = noise(1)
    outputs = outputs_of(
        tmp_path, "enh", {"speech": reference_S}, {"codec": {"speech": reference_S[:-8]}}
    )
    cut_S = np.where(np.arange(SIZE) < SIZE - 8, reference_S, 0)
    want = [closed_form(reference_S, cut_S)]
    np.testing.assert_allclose(score_utterance(outputs, RATE)["codec"], want, atol=1e-3)


@pytest.mark.parametrize("size", [SIZE - 401, SIZE + 401])
def test_an_estimate_more_than_50_ms_off_is_refused(tmp_path, size):
    estimates = {"codec": {"speech": np.ones(size)}}
    outputs = outputs_of(tmp_path, "enh", {"speech": noise(1)}, estimates)
    with pytest.raises(AioError, match=f"has {size} samples, utt2num_samples says {SIZE}"):
        score_utterance(outputs, RATE)


def test_silence_in_an_estimate_is_the_floor_and_in_a_reference_no_score(tmp_path):
    references = {"spk1": noise(1), "spk2": np.zeros(SIZE)}
    silence = {"spk1": np.zeros(SIZE), "spk2": np.zeros(SIZE)}
    outputs = outputs_of(tmp_path, "sep", references, {"codec": silence})
    scores = score_utterance(outputs, RATE)
    np.testing.assert_array_equal(scores["codec"], [FLOOR_DB, NAN])
    assert np.isnan(scores["mixture"]).tolist() == [False, True]


# --- an audio task ---


def utterance_of(task: str, number: int, *targets: str) -> Utterance:
    files = dict.fromkeys(targets, "none.wav")
    return Utterance(f"{task}-{number}", task, "s", "none.wav", SIZE, targets=files)


def scores_of(**rows) -> dict[str, np.ndarray]:
    return {output: np.array(row, dtype=float) for output, row in rows.items()}


@pytest.fixture
def sound(tmp_path):
    """Three mixtures: two sounds, three sounds of which one is silent, two silent sounds."""
    utterances = [
        utterance_of("sound", 0, "sound1", "sound2"),
        utterance_of("sound", 1, "sound1", "sound2", "sound3"),
        utterance_of("sound", 2, "sound1", "sound2"),
    ]
    scores = [
        scores_of(mixture=[1, 2], codec=[4, 7], wiener=[3, 4]),
        scores_of(mixture=[0, NAN, -8], codec=[5, NAN, 1], wiener=[6, NAN, 2]),
        scores_of(mixture=[NAN, NAN], codec=[NAN, NAN], wiener=[NAN, NAN]),
    ]
    return report_audio_task(tmp_path, TASKS["sound"], utterances, scores)


def test_an_utterance_is_the_mean_of_its_audible_references_and_counts_once(sound):
    means = {"mixture": [1.5, -4.0], "codec": [5.5, 3.0], "wiener": [3.5, 4.0]}
    for output, values in means.items():
        figure = sound["outputs"][output]
        assert figure["value"] == pytest.approx(np.mean(values))
        assert (figure["lo"], figure["hi"]) == (min(values), max(values))
        assert figure["n"] == 2
    assert sound["num_utterances"] == 3


def test_silent_references_are_counted(sound):
    assert sound["silent_references"] == 3


def test_every_target_has_its_own_figures(sound):
    found = {
        target: {output: figure["value"] for output, figure in figures["outputs"].items()}
        for target, figures in sound["targets"].items()
    }
    assert found == {
        "sound1": {"mixture": 0.5, "codec": 4.5, "wiener": 4.5},
        "sound2": {"mixture": 2.0, "codec": 7.0, "wiener": 4.0},
        "sound3": {"mixture": -8.0, "codec": 1.0, "wiener": 2.0},
    }
    counts = [figures["outputs"]["codec"]["n"] for figures in sound["targets"].values()]
    assert counts == [2, 1, 1]
    gains = [f["improvement"]["codec"]["value"] for f in sound["targets"].values()]
    assert gains == [4.0, 5.0, 9.0]


def test_scores_of_each_target_are_listed(sound, tmp_path):
    assert sound["per_utterance"] == "sound/scores.tsv"
    rows = [line.split("\t") for line in (tmp_path / "sound/scores.tsv").read_text().splitlines()]
    assert rows == [
        ["utterance", "target", "mixture", "codec", "wiener"],
        ["sound-0", "sound1", "1.000", "4.000", "3.000"],
        ["sound-0", "sound2", "2.000", "7.000", "4.000"],
        ["sound-1", "sound1", "0.000", "5.000", "6.000"],
        ["sound-1", "sound2", "silent", "silent", "silent"],
        ["sound-1", "sound3", "-8.000", "1.000", "2.000"],
        ["sound-2", "sound1", "silent", "silent", "silent"],
        ["sound-2", "sound2", "silent", "silent", "silent"],
    ]


def test_gains_are_those_of_each_utterance_over_its_own_mixture(tmp_path):
    """Mixtures differ by 30 dB, gains by little: the interval is that of the gains."""
    mixture_n = np.array([-20.0, 0.0, 10.0, -5.0, 3.0])
    gain_n = np.array([3.0, 3.1, 2.9, 3.2, 3.0])
    utterances = [utterance_of("enh", i, "speech") for i in range(5)]
    scores = [
        scores_of(mixture=[mixture], codec=[mixture + gain], wiener=[mixture + 1.0])
        for mixture, gain in zip(mixture_n, gain_n, strict=True)
    ]
    result = report_audio_task(tmp_path, TASKS["enh"], utterances, scores)
    gains = result["improvement"]
    want = mean_figure(gain_n)
    assert gains["codec"]["value"] == pytest.approx(want.value)
    assert (gains["codec"]["lo"], gains["codec"]["hi"]) == pytest.approx((want.lo, want.hi))
    assert [gains["wiener"][key] for key in ("value", "lo", "hi")] == pytest.approx([1, 1, 1])


def test_oracles_have_no_gain(tmp_path):
    scores = [scores_of(mixture=[0], codec=[1], oracle_codec=[2], ideal_mask=[3])]
    result = report_audio_task(tmp_path, TASKS["enh"], [utterance_of("enh", 0, "speech")], scores)
    assert list(result["outputs"]) == ["mixture", "codec", "oracle_codec", "ideal_mask"]
    assert list(result["improvement"]) == ["codec"]


# --- a text task ---


def write_hypotheses(folder: Path, task: str, lines: list[str]) -> list[Utterance]:
    """Three utterances whose references both languages have, and hypotheses for them."""
    references = {
        "text": ["A B C D", "E F", "G H I"],
        "text.fr": ["le chat mange du pain", "oui", "la nuit tombe bien vite"],
    }
    (folder / task).mkdir()
    (folder / task / "text").write_text("".join(f"{line}\n" for line in lines))
    return [
        Utterance(
            f"{task}-{i}", task, "s", "none.wav", SIZE, dict(zip(references, texts, strict=True))
        )
        for i, texts in enumerate(zip(*references.values(), strict=True))
    ]


def table_of(folder: Path, result: dict) -> list[list[str]]:
    return [
        line.split("\t") for line in (folder / result["per_utterance"]).read_text().splitlines()
    ]


def test_recognition_is_scored_by_the_words_of_its_own_transcript(tmp_path):
    lines = ["asr-1 E F X", "asr-0 A X C", "asr-2"]
    utterances = write_hypotheses(tmp_path, "asr", lines)
    result = score_text_task(tmp_path, TASKS["asr"], utterances)
    assert (result["metric"], result["unit"]) == ("WER", "%")
    assert result["score"]["value"] == pytest.approx(100 * (2 + 1 + 3) / 9)
    counts = ("words", "insertions", "deletions", "substitutions")
    assert [result[kind] for kind in counts] == [9, 1, 4, 1]
    assert table_of(tmp_path, result) == [
        ["utterance", *counts],
        ["asr-0", "4", "0", "1", "1"],
        ["asr-1", "2", "1", "0", "0"],
        ["asr-2", "3", "0", "3", "0"],
    ]


def test_translation_is_scored_by_its_n_grams(tmp_path):
    lines = ["st-0 le chat mange du pain", "st-1", "st-2 la nuit tombe vite"]
    utterances = write_hypotheses(tmp_path, "st", lines)
    result = score_text_task(tmp_path, TASKS["st"], utterances)
    assert result["metric"] == "BLEU"
    # The first sentence is right, the third lacks a word: its orders 1 to 4 match 4/4 2/3 1/2 0/1.
    precisions = [(5 + 4) / (5 + 4), (4 + 2) / (4 + 3), (3 + 1) / (3 + 2), (2 + 0) / (2 + 1)]
    brevity = np.exp(1 - 11 / 9)
    want = 100 * brevity * np.exp(np.mean(np.log(precisions)))
    assert result["score"]["value"] == pytest.approx(want)
    lengths, matches, ngrams = ["4", "5"], ["4", "2", "1", "0"], ["4", "3", "2", "1"]
    assert table_of(tmp_path, result)[3] == ["st-2", *lengths, *matches, *ngrams]


# --- a decode folder ---


def make_utterance(folder: Path, task: str, number: int) -> Utterance:
    """The mixture is the sum of its targets; that of enh has noise besides."""
    key, wav = f"{task}-{number}", str(folder / "wav" / f"{task}-{number}.wav")
    names = TASKS[task].targets
    if TASKS[task].output == "text":
        write_wav(wav, noise(number), RATE)
        return Utterance(key, task, "s", wav, SIZE, dict.fromkeys(("text", *names), "A B C D"))
    waves = {name: noise(number, len(task), i) for i, name in enumerate(names)}
    targets = write_waves(folder / "wav" / key, **waves)
    write_wav(wav, sum(waves.values()) + (task == "enh") * noise(number, 9), RATE)
    return Utterance(key, task, "s", wav, SIZE, targets=targets)


def write_decoded(decode: Path, utterances: list[Utterance], output: str, level: float) -> None:
    """References with noise of that level for estimates, and perfect sentences."""
    for task in {utterance.task for utterance in utterances}:
        members = [utterance for utterance in utterances if utterance.task == task]
        if TASKS[task].output == "text":
            lines = "".join(f"{utterance.id} A B C D\n" for utterance in members)
            (decode / task).mkdir(parents=True, exist_ok=True)
            (decode / task / "text").write_text(lines)
            continue
        for i, target in enumerate(TASKS[task].targets):
            lines = []
            for utterance in members:
                path = decode / task / output / f"{utterance.id}_{target}.wav"
                wave_S = read_audio(utterance.targets[target], RATE) + level * noise(i, 77)
                write_wav(path, wave_S, RATE, subtype="FLOAT")
                lines.append(f"{utterance.id} {path}\n")
            (decode / task / output / f"{target}.scp").write_text("".join(lines))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Path]:
    """A data dir of two utterances per task, and its decode folder."""
    folder = tmp_path_factory.mktemp("made")
    write_data_dir(folder / "data", [make_utterance(folder, t, i) for t in TASKS for i in range(2)])
    utterances, decode = read_data_dir(folder / "data"), folder / "exp" / "decode"
    for output, level in (("codec", 0.5), ("wiener", 0.1)):
        write_decoded(decode, utterances, output, level)
    return folder / "data", decode


@pytest.fixture(scope="module")
def results(made):
    return score_decode_dir(*made, RATE)


@pytest.fixture
def small(tmp_path):
    """A data dir of enh and asr, one utterance each, with codec output only."""
    utterances = [make_utterance(tmp_path, task, 0) for task in ("asr", "enh")]
    write_data_dir(tmp_path / "data", utterances)
    write_decoded(tmp_path / "decode", read_data_dir(tmp_path / "data"), "codec", 0.3)
    return tmp_path / "data", tmp_path / "decode"


def test_every_task_is_scored_by_its_metric(results):
    found = {name: (of["metric"], of["num_utterances"]) for name, of in results["tasks"].items()}
    text = {"asr": ("WER", 2), "st": ("BLEU", 2)}
    assert found == text | dict.fromkeys(("sep", "enh", "sound", "music"), ("SI-SDR", 2))
    assert list(found) == list(TASKS)


@pytest.mark.parametrize("task", ["sep", "enh", "sound", "music"])
def test_figures_of_a_task_are_those_of_its_own_utterances(made, results, task):
    """The scores of all audio tasks come out of one pool of processes."""
    utterances = [u for u in read_data_dir(made[0]) if u.task == task]
    for output, level in (("codec", 0.5), ("wiener", 0.1)):
        scores = []
        for utterance in utterances:
            waves = [read_audio(path, RATE) for path in utterance.targets.values()]
            pairs = [(wave_S, wave_S + level * noise(i, 77)) for i, wave_S in enumerate(waves)]
            scores.append(np.mean([closed_form(*pair) for pair in pairs]))
        found = results["tasks"][task]["outputs"][output]["value"]
        assert found == pytest.approx(np.mean(scores), abs=1e-3)


def test_the_conventions_of_the_scores_are_noted(made, results):
    assert results["data"] == str(made[0]) and results["sample_rate"] == RATE
    assert results["bootstrap"] == {"level": 0.95, "resamples": 1000, "seed": 0}
    assert results["si_sdr"] == {"floor_db": -50.0, "ceiling_db": 100.0}


@pytest.mark.slow
def test_many_processes_find_the_same(made, results):
    again = score_decode_dir(*made, RATE, num_jobs=2, tasks=["music"])
    assert again["tasks"]["music"] == results["tasks"]["music"]


def test_a_task_without_output_is_named_with_its_stage(made, tmp_path):
    with pytest.raises(AioError, match=r"no output of task 'asr'. Run stage 5"):
        score_decode_dir(made[0], tmp_path, RATE)


def test_an_unknown_task_is_named(made):
    with pytest.raises(AioError, match="unknown task 'asrr'"):
        score_decode_dir(*made, RATE, tasks=["asrr"])


def test_a_task_that_the_data_dir_lacks_is_named(small):
    with pytest.raises(AioError, match="no utterance of task 'sep'. Its tasks: asr, enh"):
        score_decode_dir(*small, RATE, tasks=["sep"])


def test_tasks_can_be_chosen(small):
    assert list(score_decode_dir(*small, RATE, tasks=["enh"])["tasks"]) == ["enh"]


def test_missing_hypotheses_are_listed(small):
    (small[1] / "asr/text").write_text("asr-7 A B C D\n")
    message = "asr/text lacks 1 utterances of the data dir: asr-0. Finish stage 5"
    with pytest.raises(AioError, match=message):
        score_decode_dir(*small, RATE)


def test_missing_waves_are_listed_before_anything_is_scored(small):
    (small[1] / "enh/codec/speech.scp").write_text("\n")
    with pytest.raises(AioError, match="enh/codec lacks 1 utterances of the data dir: enh-0"):
        score_decode_dir(*small, RATE)
    assert not (small[1] / "asr/scores.tsv").exists()


# --- the command ---


def run_command(monkeypatch, capsys, *arguments: object) -> str:
    monkeypatch.setattr(sys, "argv", ["score", *map(str, arguments)])
    command.main()
    return capsys.readouterr().out


def test_the_command_writes_and_prints(small, monkeypatch, capsys):
    folders = ("--data", small[0], "--decode", small[1])
    printed = run_command(monkeypatch, capsys, *folders, "--sample_rate", RATE)
    assert "| asr" in printed and printed in (small[1] / "RESULTS.md").read_text()
    assert "asr WER" in run_command(monkeypatch, capsys, "--compare", small[1])


def test_the_command_without_arguments_says_what_it_needs():
    words = [sys.executable, "-m", "aio_toolkit.bin.score"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 2 and "--data and --decode are required" in done.stderr
