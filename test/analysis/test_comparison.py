"""Systems against the first, by numbers that can be worked out by hand."""

import numpy as np
import pytest
from kept_runs import NUM, write_run
from scipy import stats
from tiny import ALL

from aio_toolkit.analysis.comparison import compare
from aio_toolkit.errors import AioError
from aio_toolkit.scoring.differences import mean


@pytest.fixture
def make(tmp_path):
    """A function that writes the runs of a system, one for each row of scores."""

    def write(name: str, errors_Sn=None, gain_Sn=None, mixture_n=None, model: str = ""):
        count = len(errors_Sn if errors_Sn is not None else gain_Sn)
        runs = []
        for seed in range(count):
            errors_n = None if errors_Sn is None else errors_Sn[seed]
            gain_n = None if gain_Sn is None else gain_Sn[seed]
            of_seed = f"{model}{seed}" if model else ""
            scores = errors_n, gain_n, mixture_n, of_seed
            runs.append(write_run(tmp_path / name / str(seed), *scores))
        return runs

    return write


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def test_seeds_are_averaged_and_differences_are_to_the_first_system(make):
    systems = {
        "demo": make("demo", np.full((2, 12), 1.0), np.full((2, 10), 3.0)),
        "other": make("other", np.full((2, 12), 3.0), np.full((2, 10), 7.5)),
    }
    asr, sep = compare(systems, ALL)
    assert (asr.title, sep.title) == ("asr WER", "sep gain dB")
    assert [cell.mean.value for cell in asr.cells.values()] == pytest.approx([10.0, 30.0])
    assert asr.cells["other"].difference.value == pytest.approx(20.0)
    assert sep.cells["other"].difference.value == pytest.approx(4.5)
    assert asr.cells["demo"].difference is sep.cells["demo"].difference is None


def test_audio_is_told_by_its_gain_over_the_mixture(make):
    mixture_n = 30 * noise(0, 10)
    gains = [noise(seed, 3, 10) + 4 for seed in (1, 2)]
    systems = {
        name: make(name, gain_Sn=gain, mixture_n=mixture_n)
        for name, gain in zip(("demo", "other"), gains, strict=True)
    }
    (sep,) = compare(systems, ALL)
    plain = {
        name: make(f"plain_{name}", gain_Sn=gain) for name, gain in zip(systems, gains, strict=True)
    }
    (want,) = compare(plain, ALL)
    for name in systems:
        found, expected = sep.cells[name], want.cells[name]
        assert found.mean.lo == pytest.approx(expected.mean.lo, abs=1e-4)
        assert found.mean.value == pytest.approx(gains[name == "other"].mean(), abs=1e-4)
    found, expected = sep.cells["other"].difference, want.cells["other"].difference
    assert [found.lo, found.hi] == pytest.approx([expected.lo, expected.hi], abs=1e-4)


def test_utterances_of_a_speaker_are_one_cluster(make):
    """Both utterances of each of five speakers gain alike: there are five numbers, not ten."""
    first_C, second_C = noise(3, 5), 1 + noise(4, 5)
    first, second = (np.tile(np.repeat(x_C, 2), (3, 1)) for x_C in (first_C, second_C))
    systems = {"demo": make("demo", gain_Sn=first), "other": make("other", gain_Sn=second)}
    (sep,) = compare(systems, ALL)
    want = stats.ttest_rel(second_C, first_C)
    interval = want.confidence_interval(0.95)
    found = sep.cells["other"].difference
    assert [found.lo, found.hi] == pytest.approx([interval.low, interval.high], abs=1e-4)
    assert found.p == pytest.approx(want.pvalue, abs=1e-4)


def test_answers_of_the_same_models_are_paired_by_seed_too(make):
    """What another seed changes is no spread of what another decoding changes."""
    seed_S1 = 5 * noise(0, 3, 1)
    first, second = seed_S1 + noise(1, 3, 10), seed_S1 + 2 + noise(2, 3, 10)
    systems = {
        "demo": make("demo", gain_Sn=first, model="a"),
        "beam": make("beam", gain_Sn=second, model="a"),
        "other": make("other", gain_Sn=second, model="b"),
    }
    (sep,) = compare(systems, ALL)
    pairs_SC = (second - first).reshape(3, 5, 2).mean(2)
    want, found = mean(pairs_SC), sep.cells["beam"].difference
    assert [found.lo, found.hi] == pytest.approx([want.lo, want.hi], abs=1e-4)
    assert sep.cells["beam"].mark == "better" and sep.cells["other"].mark == "no evidence"


@pytest.mark.parametrize(
    ("num_seeds", "fewer", "more"),
    [(1, "", ""), (2, "no evidence", "worse"), (3, "better", "worse")],
)
def test_two_seeds_reject_and_three_claim(make, num_seeds, fewer, more):
    def errors(level: float, seed: int) -> np.ndarray:
        return level + 0.01 * noise(seed, num_seeds, 12)

    systems = {
        "demo": make("demo", errors(3, 0)),
        "fewer": make("fewer", errors(2, 1)),
        "more": make("more", errors(4, 2)),
    }
    (asr,) = compare(systems, ALL)
    assert [asr.cells[name].mark for name in systems] == ["", fewer, more]
    found = asr.cells["fewer"].difference
    assert (found.p is None) == (num_seeds == 1)


def test_more_decibels_are_better_and_what_does_not_differ_is_no_evidence(make):
    first = noise(1, 3, 10)
    systems = {
        "demo": make("demo", gain_Sn=first),
        "same": make("same", gain_Sn=first),
        "up": make("up", gain_Sn=9 + 0.1 * noise(2, 3, 10)),
        "down": make("down", gain_Sn=-9 + 0.1 * noise(3, 3, 10)),
    }
    (sep,) = compare(systems, ALL)
    marks = [cell.mark for cell in sep.cells.values()]
    assert marks == ["", "no evidence", "better", "worse"]


def test_marks_are_corrected_for_all_tasks_and_systems(make):
    """A difference that would do alone is none among many."""
    demo = 3 + 0.5 * noise(0, 3, 12)
    systems = {"demo": make("demo", demo), "few": make("few", demo - 0.5 + 0.5 * noise(1, 3, 12))}
    (alone,) = compare(systems, ALL)
    p = alone.cells["few"].difference.p
    assert 0.002 < p <= 0.05 and alone.cells["few"].mark == "better"
    for number in range(int(0.05 / p) + 1):
        systems[f"same{number}"] = make(f"same{number}", demo)
    (among,) = compare(systems, ALL)
    assert among.cells["few"].difference.p == p
    assert among.cells["few"].mark == "no evidence"


def test_seeds_of_the_first_system_count_too(make):
    three, two = 0.01 * noise(0, 3, 12), 0.01 * noise(1, 2, 12)
    (asr,) = compare({"demo": make("demo", 3 + two), "few": make("few", 2 + three)}, ALL)
    assert asr.cells["few"].difference.p < 0.05 and asr.cells["few"].mark == "no evidence"
    assert [cell.num_seeds for cell in asr.cells.values()] == [2, 3]


def test_a_single_run_has_its_own_interval_over_utterances(make):
    demo = make("demo", gain_Sn=noise(0, 1, NUM["sep"]))
    (sep,) = compare({"demo": demo, "other": make("other", gain_Sn=noise(1, 3, 10))}, ALL)
    own, found = demo[0].task("sep").find("masked", over="mixture"), sep.cells["demo"].mean
    assert [found.value, found.lo, found.hi] == pytest.approx([own.value, own.lo, own.hi])
    assert found.n == 10
    found = sep.cells["other"].difference
    assert (found.lo, found.hi, found.p) == (None, None, None)


def test_utterances_that_one_run_has_no_score_of_count_for_none(make):
    first, second = noise(0, 2, 10), noise(1, 2, 10)
    lacking = second.copy()
    lacking[1, [0, 1, 6, 7]] = np.nan
    systems = {"demo": make("demo", gain_Sn=first), "other": make("other", gain_Sn=lacking)}
    (sep,) = compare(systems, ALL)
    kept = [2, 3, 4, 5, 8, 9]
    assert sep.cells["demo"].mean.value == pytest.approx(first[:, kept].mean(), abs=1e-4)
    assert sep.cells["other"].mean.value == pytest.approx(second[:, kept].mean(), abs=1e-4)


def test_a_task_without_any_score_has_no_cells(make):
    (sep,) = compare({"demo": make("demo", gain_Sn=np.full((2, 4), np.nan))}, ALL)
    assert sep.cells == {}


def test_a_system_that_lacks_a_task_or_has_no_run_yet_is_left_out(make):
    systems = {
        "demo": make("demo", noise(0, 2, 12)),
        "audio": make("audio", gain_Sn=noise(1, 2, 10)),
        "later": [],
    }
    asr, sep = compare(systems, ALL)
    assert list(asr.cells) == ["demo"] and list(sep.cells) == ["audio"]
    # There is nothing to compare it with.
    assert sep.cells["audio"].difference is None


def test_runs_on_different_utterances_are_refused(make):
    systems = {"demo": make("demo", noise(0, 1, 12)), "other": make("other", noise(1, 1, 11))}
    with pytest.raises(AioError, match="asr: .*demo/0 and .*other/0 are of different data. Decode"):
        compare(systems, ALL)


def test_runs_by_another_metric_are_refused(make):
    from dataclasses import replace

    changed = {**ALL, "asr": replace(ALL["asr"], metrics=("exact", "wer"))}
    with pytest.raises(AioError, match="asr is scored by wer, not by exact as in tasks.yaml"):
        compare({"demo": make("demo", noise(0, 1, 12))}, changed)
