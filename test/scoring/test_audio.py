"""Which wave meets which reference."""

import itertools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny import ALL

from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.wav_writer import Subtype, write_wav
from aio_toolkit.errors import AioError
from aio_toolkit.scoring import audio
from aio_toolkit.scoring.audio import AudioScorer
from aio_toolkit.scoring.base import Key
from aio_toolkit.scoring.fixed_filter import FixedFilter
from aio_toolkit.scoring.separation import CEILING_DB, FLOOR_DB
from aio_toolkit.tasks import Task

RATE, SIZE = 8000, 1600
NAN = np.nan


def noise(*seed: int) -> np.ndarray:
    wave_S = 0.1 * np.random.default_rng(seed).standard_normal(SIZE)
    return wave_S.astype(np.float32)


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


@pytest.fixture
def score(tmp_path):
    """The function that scores outputs; SI-SDR by output, each an array over the references."""

    def run(name: str, references: dict, outputs: dict, **decoding) -> dict[str, np.ndarray]:
        """The mixture is the sum of the references and some noise."""
        mixture = write_waves(tmp_path, mixture=sum(references.values()) + noise(99))["mixture"]
        answers = write_waves(tmp_path / "references", **references)
        utterance = Utterance(f"{name}-0", ALL[name], "s", mixture, SIZE, answers)
        paths = {o: write_waves(tmp_path / o, **waves) for o, waves in outputs.items()}
        scorer = AudioScorer(ALL[name], decoding, RATE)
        sums = {**scorer.bounds(utterance), **scorer.score(utterance, paths)}
        found: dict[str, dict[str, float]] = {}
        for key, sums_K in sums.items():
            assert key.metric == "si_sdr"
            found.setdefault(key.output, {})[key.target] = sums_K[0]
        return {
            output: np.array([of_output[target] for target in references])
            for output, of_output in found.items()
        }

    return run


def test_permuted_estimates_meet_references_as_in_the_best_of_all_orders(score):
    references = {f"sound{i}": noise(i) for i in (1, 2, 3)}
    order, gains = [3, 1, 2], [0.5, -2.0, 1.0]
    estimates = {
        f"sound{i}": gain * (noise(source) + noise(50 + i))
        for i, source, gain in zip((1, 2, 3), order, gains, strict=True)
    }
    candidates = [
        [closed_form(r, e) for r, e in zip(references.values(), shuffled, strict=True)]
        for shuffled in itertools.permutations(estimates.values())
    ]
    found_N = score("sound", references, {"codec": estimates})["codec"]
    np.testing.assert_allclose(found_N, max(candidates, key=sum), atol=1e-3)


def test_a_surplus_estimate_is_not_scored(score):
    references = {f"sound{i}": noise(i) for i in (1, 2)}
    estimates = {
        "sound1": noise(50),
        "sound2": noise(2) + noise(51),
        "sound3": noise(1) + 2 * noise(52),
    }
    found = score("sound", references, {"codec": references, "wiener": estimates})
    want = [closed_form(noise(1), estimates["sound3"]), closed_form(noise(2), estimates["sound2"])]
    np.testing.assert_allclose(found["wiener"], want, atol=1e-3)


def test_queried_estimates_meet_the_references_of_their_name(score):
    names = ("vocals", "drums", "bass", "other")
    references = {name: noise(i) for i, name in enumerate(names)}
    # The estimate of the bass sounds more like the drums; it is the bass's all the same.
    estimates = {name: noise(i) + noise(60 + i) for i, name in enumerate(names)}
    estimates["bass"] = noise(1) + 0.2 * noise(2)
    # Nor does it matter in which order they come.
    shuffled = {name: estimates[name] for name in ("other", "drums", "vocals", "bass")}
    scores = score("music", references, {"codec": shuffled, "wiener": references})
    want = [closed_form(references[name], estimates[name]) for name in names]
    np.testing.assert_allclose(scores["codec"], want, atol=1e-3)
    np.testing.assert_allclose(scores["wiener"], [CEILING_DB] * 4, atol=1e-3)


@pytest.mark.parametrize("task", ["sep", "enh"])
def test_the_mixture_is_scored_against_every_reference(score, task):
    names = ("speech",) if task == "enh" else ("spk1", "spk2")
    references = {name: (i + 1) * noise(i) for i, name in enumerate(names)}
    mixture_S = sum(references.values()) + noise(99)
    want = [closed_form(reference_S, mixture_S) for reference_S in references.values()]
    found = score(task, references, {"codec": references})["mixture"]
    np.testing.assert_allclose(found, want, atol=1e-3)


def test_an_estimate_may_lack_its_last_samples(score):
    """A codec leaves out the end of its last frame: it counts as silence."""
    reference_S = noise(1)
    found = score("enh", {"speech": reference_S}, {"codec": {"speech": reference_S[:-8]}})
    cut_S = np.where(np.arange(SIZE) < SIZE - 8, reference_S, 0)
    np.testing.assert_allclose(found["codec"], [closed_form(reference_S, cut_S)], atol=1e-3)


@pytest.mark.parametrize("size", [SIZE - 401, SIZE + 401])
def test_an_estimate_more_than_50_ms_off_is_refused(score, size):
    estimates = {"codec": {"speech": np.ones(size)}}
    message = f"enh-0: .* has {size} samples, utt2num_samples says {SIZE}. Validate"
    with pytest.raises(AioError, match=message):
        score("enh", {"speech": noise(1)}, estimates)


@pytest.mark.parametrize("name", ["mixture", "speech"])
def test_input_and_references_are_as_long_as_the_data_dir_says(tmp_path, name):
    waves = {"mixture": noise(1) + noise(2), "speech": noise(1)}
    waves[name] = waves[name][:-1]
    paths = write_waves(tmp_path, **waves)
    answers = {"speech": paths["speech"]}
    utterance = Utterance("enh-0", ALL["enh"], "s", paths["mixture"], SIZE, answers)
    message = f"enh-0: .*{name}.wav has {SIZE - 1} samples, utt2num_samples says {SIZE}"
    with pytest.raises(AioError, match=message):
        AudioScorer(ALL["enh"], {}, RATE).bounds(utterance)


def test_silence_in_an_estimate_is_the_floor_and_in_a_reference_no_score(score):
    references = {"spk1": noise(1), "spk2": np.zeros(SIZE)}
    silence = {"spk1": np.zeros(SIZE), "spk2": np.zeros(SIZE)}
    scores = score("sep", references, {"codec": silence})
    np.testing.assert_array_equal(scores["codec"], [FLOOR_DB, NAN])
    assert np.isnan(scores["mixture"]).tolist() == [False, True]


@pytest.mark.parametrize("task", ["sep", "music"])
def test_a_mixture_of_nothing_has_no_score(score, task):
    references = {target: np.zeros(SIZE) for target in ALL[task].targets}
    estimates = {target: noise(i) for i, target in enumerate(references)}
    scores = score(task, references, {"codec": estimates})
    assert all(np.isnan(scores[output]).all() for output in ("codec", "mixture"))


def test_a_reference_that_is_silent_in_part_is_scored_whole(score):
    reference_S = noise(1)
    reference_S[SIZE // 3 :] = 0
    estimate_S = noise(1) + noise(2)
    found = score("enh", {"speech": reference_S}, {"codec": {"speech": estimate_S}})
    want = [closed_form(reference_S, estimate_S)]
    np.testing.assert_allclose(found["codec"], want, atol=1e-3)


@pytest.mark.parametrize(("size", "is_scored"), [(1, False), (79, False), (80, True)])
def test_references_of_a_few_samples_have_no_score(tmp_path, size, is_scored):
    """Of one sample anything is a multiple, which would be 100 dB."""
    paths = write_waves(tmp_path, mixture=noise(1)[:size] + 0.1, speech=noise(1)[:size])
    answers = {"speech": paths["speech"]}
    utterance = Utterance("enh-0", ALL["enh"], "s", paths["mixture"], size, answers)
    scorer = AudioScorer(ALL["enh"], {}, RATE)
    (sums_K,) = scorer.score(utterance, {"codec": {"speech": paths["mixture"]}}).values()
    assert np.isfinite(sums_K).all() == is_scored and np.isnan(sums_K).all() != is_scored
    bounds = scorer.bounds(utterance).values()
    assert all(np.isfinite(sums_K).all() == is_scored for sums_K in bounds)


def test_the_model_s_own_output_must_be_there(score):
    with pytest.raises(AioError, match="enh-0 has no output of: masked, codec, wiener. Run"):
        score("enh", {"speech": noise(1)}, {"clean": {"speech": noise(1)}})


def test_a_transcript_beside_the_references_is_no_reference(tmp_path):
    paths = write_waves(tmp_path, mixture=noise(1) + noise(2), speech=noise(1))
    answers = {"text": "good morning", "speech": paths["speech"]}
    utterance = Utterance("enh-0", ALL["enh"], "s", paths["mixture"], SIZE, answers)
    scorer = AudioScorer(ALL["enh"], {}, RATE)
    sums = scorer.score(utterance, {"codec": {"speech": paths["speech"]}})
    assert [key.target for key in sums] == ["speech"]


def test_every_metric_of_the_task_sees_the_same_pairs(tmp_path, monkeypatch):
    """The permutation is SI-SDR's for all of them."""
    seen = []

    def sums(reference_S: np.ndarray, estimate_S: np.ndarray) -> np.ndarray:
        seen.append((reference_S, estimate_S))
        return np.array([1.0, 2.0, 3.0])

    paths = write_waves(tmp_path, mixture=noise(1) + noise(2), spk1=noise(1), spk2=noise(2))
    mixture = paths.pop("mixture")
    scorer = AudioScorer(ALL["sep"], {}, RATE)
    scorer.metrics["other"] = type("Other", (), {"sums": staticmethod(sums)})
    swapped = {"spk1": paths["spk2"], "spk2": paths["spk1"]}
    utterance = Utterance("sep-0", ALL["sep"], "s", mixture, SIZE, paths)
    found = scorer.score(utterance, {"codec": swapped})
    assert len(seen) == 2
    for reference_S, estimate_S in seen:
        np.testing.assert_array_equal(reference_S, estimate_S)
    assert found[Key("codec", "spk2", "other")].tolist() == [1, 2, 3]
    assert found[Key("codec", "spk2", "si_sdr")][0] == pytest.approx(CEILING_DB, abs=1e-3)


# --- oracles ---


@pytest.fixture
def bounds(monkeypatch):
    """Oracles whose estimates are the true sources in reverse; returns what they were given."""
    given = []

    def reverse(mixture_S, sources_NS, codec, wiener):
        given.append((mixture_S, sources_NS, codec, wiener.config))
        return {"oracle_codec": sources_NS[::-1]}

    monkeypatch.setattr(audio, "codec_bounds", reverse)
    monkeypatch.setattr(audio, "ideal_mask", lambda mixture_S, sources_NS, hop: sources_NS)
    monkeypatch.setattr(audio, "load_once", lambda codec: SimpleNamespace(hop=320))
    return given


def test_oracles_hear_the_mixture_and_all_sources_the_residual_last(score, bounds):
    speech_S = noise(1)
    score("enh", {"speech": speech_S}, {"codec": {"speech": speech_S}}, codec="exp/codec")
    ((mixture_S, sources_NS, codec, _),) = bounds
    np.testing.assert_array_equal(mixture_S, speech_S + noise(99))
    np.testing.assert_array_equal(sources_NS, [speech_S, mixture_S - speech_S])
    assert codec == "exp/codec"


def test_oracles_have_the_filter_that_answers_were_decoded_with(score, bounds):
    references = {"speech": noise(1)}
    wiener = {"window": 256, "power": 1.5, "detail": 0.25}
    score("enh", references, {"codec": references}, codec="exp/codec", wiener=wiener)
    options = bounds[0][-1]
    assert (options.window, options.power, options.detail) == (256, 1.5, 0.25)


def test_without_a_codec_there_are_no_oracles(score, bounds):
    references = {"speech": noise(1)}
    assert list(score("enh", references, {"codec": references})) == ["mixture", "codec"]
    assert bounds == []


@pytest.mark.parametrize("count", [2, 3])
def test_oracles_of_a_permutation_task_are_matched_like_estimates(score, bounds, count):
    references = {f"sound{i}": noise(i) for i in range(1, count + 1)}
    found = score("sound", references, {"codec": references}, codec="exp/codec")
    np.testing.assert_allclose(found["oracle_codec"], [CEILING_DB] * count, atol=1e-3)


def test_oracles_of_a_query_task_keep_their_order(score, bounds):
    references = {name: noise(i) for i, name in enumerate(ALL["music"].targets)}
    found = score("music", references, {"codec": references}, codec="exp/codec")
    waves = list(references.values())
    want = [closed_form(*pair) for pair in zip(waves, waves[::-1], strict=True)]
    np.testing.assert_allclose(found["oracle_codec"], np.maximum(want, FLOOR_DB), atol=1e-3)


def test_the_residual_is_not_scored(score, bounds):
    """Here the oracle's first estimate is the residual, which is then taken for the speech."""
    speech_S = noise(1)
    found = score("enh", {"speech": speech_S}, {"codec": {"speech": speech_S}}, codec="exp/codec")
    want = [closed_form(speech_S, noise(99))]
    np.testing.assert_allclose(found["oracle_codec"], want, atol=1e-2)


def test_a_permutation_task_may_have_a_residual(tmp_path, bounds):
    options = type(ALL["sep"].options)("permutation", "hum")
    task = Task("sep", "", "audio", ("spk1", "spk2"), ("si_sdr",), options)
    paths = write_waves(tmp_path, mixture=sum(map(noise, range(3))), spk1=noise(1), spk2=noise(2))
    mixture = paths.pop("mixture")
    utterance = Utterance("sep-0", task, "s", mixture, SIZE, paths)
    sums = AudioScorer(task, {"codec": "x"}, RATE).bounds(utterance)
    assert len(bounds[0][1]) == 3
    assert {key.target for key in sums} == {"spk1", "spk2"}


def test_the_ideal_mask_is_given_all_sources_and_keeps_the_residual_to_itself(score, bounds):
    speech_S = noise(1)
    found = score("enh", {"speech": speech_S}, {"codec": {"speech": speech_S}}, codec="x")
    np.testing.assert_allclose(found["ideal_mask"], [CEILING_DB], atol=1e-3)


# --- the fixed filter ---


@pytest.mark.parametrize("task", ["enh", "sep"])
def test_the_fixed_filter_is_fitted_to_the_task_and_scored_like_an_estimate(
    tmp_path, monkeypatch, task
):
    """One that gives the mixture back in parts: half of it for each source."""
    fitted = []
    half_NF = torch.full((2, 513), 0.5)
    halves = FixedFilter(half_NF)
    monkeypatch.setattr(audio, "fit_filter", lambda *given: fitted.append(given) or halves)
    names = ("speech",) if task == "enh" else ("spk1", "spk2")
    waves = {name: noise(i) for i, name in enumerate(names)}
    mixture_S = sum(waves.values()) + noise(99)
    paths = write_waves(tmp_path, mixture=mixture_S, **waves)
    mixture = paths.pop("mixture")
    utterance = Utterance(f"{task}-0", ALL[task], "s", mixture, SIZE, paths)
    scorer = AudioScorer(ALL[task], {}, RATE)
    scorer.fit([utterance], [])
    assert fitted == [(ALL[task], [utterance], [], RATE)]
    sums = scorer.bounds(utterance)
    for name, wave_S in waves.items():
        found = sums[Key("fixed_filter", name, "si_sdr")][0]
        assert found == pytest.approx(closed_form(wave_S, mixture_S), abs=1e-3)


def test_every_stem_is_compared_with_its_own_band_of_the_fixed_filter(tmp_path):
    names = ALL["music"].targets
    waves = {name: noise(i) for i, name in enumerate(names)}
    mixture_S = sum(waves.values())
    paths = write_waves(tmp_path, mixture=mixture_S, **waves)
    mixture = paths.pop("mixture")
    utterance = Utterance("music-0", ALL["music"], "s", mixture, SIZE, paths)
    gain_NF = torch.rand(4, 513, generator=torch.Generator().manual_seed(0))
    scorer = AudioScorer(ALL["music"], {}, RATE)
    scorer.floor = FixedFilter(gain_NF)
    sums = scorer.bounds(utterance)
    estimates_NS = scorer.floor(mixture_S)
    for place, (name, wave_S) in enumerate(waves.items()):
        found = sums[Key("fixed_filter", name, "si_sdr")][0]
        assert found == pytest.approx(closed_form(wave_S, estimates_NS[place]), abs=1e-3)


def test_what_bounds_depend_on_tells_of_filter_and_codec(monkeypatch):
    fingerprint = SimpleNamespace(name="mine")
    monkeypatch.setattr(audio, "load_once", lambda codec: SimpleNamespace(fingerprint=fingerprint))
    plain = AudioScorer(ALL["enh"], {}, RATE).bounds_of()
    coded = AudioScorer(ALL["enh"], {"codec": "x"}, RATE).bounds_of()
    wide = AudioScorer(ALL["enh"], {"wiener": {"window": 64}}, RATE).bounds_of()
    scorer = AudioScorer(ALL["enh"], {}, RATE)
    scorer.floor = FixedFilter(torch.ones(2, 513))
    assert coded["codec"] == {"name": "mine"}
    assert len({str(made) for made in (plain, coded, wide, scorer.bounds_of())}) == 4
