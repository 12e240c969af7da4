"""Linear probes: they find what is there, miss what is not, and count as they say."""

import numpy as np
import pytest
import sklearn.metrics
import torch

from aio_toolkit.analysis.probe import Labelled, Probe, run_probe, run_probes, standardise
from aio_toolkit.errors import AioError

F = 12


def as_they_are(feats_TF: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(feats_TF)]


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def labelled(feats: list, labels: list) -> Labelled:
    return Labelled([np.asarray(x, np.float32) for x in feats], labels)


def classes(count: int, told: bool, seed: int = 0) -> Labelled:
    """Three classes, each louder in a channel of its own, or not."""
    rng = np.random.default_rng(seed)
    labels = [index % 3 for index in range(count)]
    feats = [noise(int(rng.integers(20, 40)), F, seed=1000 * seed + i) for i in range(count)]
    for feats_TF, label in zip(feats, labels, strict=True):
        feats_TF[:, label] *= 4.0 if told else 1.0
    return Labelled(feats, labels)


def class_probe(train: Labelled, test: Labelled) -> Probe:
    return Probe("class", "class", ["a", "b", "c"], train, test)


# --- accuracy of classes ---


@pytest.mark.parametrize(("told", "least", "most"), [(True, 95, 100), (False, 15, 55)])
def test_classes_are_found_where_features_tell_them(told, least, most):
    probe = class_probe(classes(60, told), classes(60, told, seed=1))
    (score,) = run_probe(probe, as_they_are)
    assert least <= score.value <= most
    assert score.lo <= score.value <= score.hi and score.n == 60


def test_accuracy_is_the_share_of_test_utterances_whose_label_is_guessed():
    """Three of eight test labels are wrong on purpose."""
    train, test = classes(60, told=True), classes(8, told=True, seed=1)
    test.labels[1] = test.labels[4] = 2
    test.labels[6] = 1
    (score,) = run_probe(class_probe(train, test), as_they_are)
    assert (score.value, score.n) == (pytest.approx(100 * 5 / 8), 8)


def test_what_was_learnt_by_heart_does_not_count():
    """Features that say nothing: the training utterances are learnt, those of the test are not."""
    train = labelled([noise(3, 60, seed=i) for i in range(30)], [i % 2 for i in range(30)])
    test = labelled([noise(3, 60, seed=100 + i) for i in range(30)], [i % 2 for i in range(30)])
    (of_train,) = run_probe(class_probe(train, train), as_they_are)
    (of_test,) = run_probe(class_probe(train, test), as_they_are)
    assert of_train.value == 100.0
    assert of_test.value < 80.0


def constant(value: float) -> np.ndarray:
    """Frames of one channel that hold a value, give or take a little."""
    return value + 0.01 * noise(9, 1)


@pytest.mark.parametrize("value", [-1.0, 1.0])
def test_features_are_standardised_by_the_training_utterances(value):
    """The test utterances are all of one class: by their own mean they would be of either."""
    sides = [-1.0, 1.0] * 10
    train = labelled([constant(5 + 3 * side) for side in sides], [int(s > 0) for s in sides])
    test = labelled([constant(5 + 3 * value)] * 6, [int(value > 0)] * 6)
    (score,) = run_probe(class_probe(train, test), as_they_are)
    assert score.value == 100.0


def test_standardised_frames_have_mean_zero_and_variance_one_over_all_training_frames():
    frames = [torch.from_numpy(5 + 3 * noise(T, 2, seed=T)) for T in (1, 7, 30)]
    train, (first,) = standardise(frames, frames[:1])
    everything_MD = torch.cat(train)
    torch.testing.assert_close(everything_MD.mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(everything_MD.var(0), torch.ones(2))
    assert torch.equal(first, train[0])


def test_a_channel_that_never_changes_does_no_harm():
    train, test = classes(30, told=True), classes(30, told=True, seed=1)
    for side in (train, test):
        for feats_TF in side.waves:
            feats_TF[:, 7] = 3.0
    (score,) = run_probe(class_probe(train, test), as_they_are)
    assert score.value > 90


def test_every_layer_gets_its_own_score_in_the_order_of_the_layers():
    def layers(feats_TF):
        told = torch.from_numpy(feats_TF)
        return [torch.zeros_like(told), told, torch.zeros_like(told)]

    probe = class_probe(classes(30, told=True), classes(30, told=True, seed=1))
    first, second, third = (score.value for score in run_probe(probe, layers))
    assert first == third == pytest.approx(100 / 3)
    assert second > 90


def test_layers_have_equal_chances():
    """The same start and the same batches for all: equal layers have equal scores."""
    probe = class_probe(classes(20, told=False), classes(20, told=False, seed=1))
    first, second = run_probe(probe, lambda feats_TF: 2 * as_they_are(feats_TF), steps=5)
    assert first == second


def test_a_probe_is_a_function_of_its_seed():
    probe = class_probe(classes(20, told=False), classes(20, told=False, seed=1))
    torch.manual_seed(7)
    first = run_probe(probe, as_they_are, steps=5)
    assert run_probe(probe, as_they_are, steps=5) == first
    others = [run_probe(probe, as_they_are, steps=5, seed=seed) for seed in range(1, 5)]
    assert any(other != first for other in others)


# --- tags ---


def tagged(label_nC: np.ndarray) -> Labelled:
    """Channel c is at 2 where tag c is given, else at 0."""
    num_tags = label_nC.shape[1]
    feats = [2.0 * np.tile(label_C, (9, 1)) + 0.1 * noise(9, num_tags) for label_C in label_nC]
    return labelled(feats, list(label_nC))


def test_tags_are_scored_by_the_precision_of_their_ranks():
    """Every label above every other: 1. A label that was not told is found behind those told."""
    train = tagged(np.array([[1, 0, 0, 1], [0, 1, 1, 0], [1, 1, 0, 0], [0, 0, 1, 1]] * 10))
    test = tagged(np.array([[1, 0, 0, 1], [0, 1, 1, 0], [1, 1, 0, 0]]))
    test.labels[1] = np.array([1, 1, 1, 0])  # ranks 1 and 2 of those told, then 3 or 4
    test.labels[2] = np.array([0, 1, 0, 0])  # rank 1 or 2
    (score,) = run_probe(Probe("tags", "tags", list("abcd"), train, test), as_they_are)
    possible = {
        100 * np.mean([1, second, third])
        for second in ((1 + 1 + 3 / 3) / 3, (1 + 1 + 3 / 4) / 3)
        for third in (1, 1 / 2)
    }
    assert any(score.value == pytest.approx(value) for value in possible)
    assert score.n == 3


# --- frames ---


def framed(count: int, seed: int) -> Labelled:
    """Two questions, answered by the signs of two channels."""
    feats = [np.sign(noise(30, 2, seed=seed + i)) for i in range(count)]
    return labelled(feats, [(feats_TF > 0).astype(np.int64) for feats_TF in feats])


def frame_probe(test: Labelled) -> Probe:
    return Probe("frames", "frames", ["a", "b"], framed(20, seed=0), test)


def test_frames_are_scored_by_f1_of_each_utterance():
    test = framed(4, seed=100)
    guesses = [label_TC.copy() for label_TC in test.labels]
    test.labels[0][:7] = 1  # misses
    test.labels[1][:11] = 0  # false alarms
    test.labels[2][:, 0] = 1 - test.labels[2][:, 0]
    (score,) = run_probe(frame_probe(test), as_they_are)
    want = [
        sklearn.metrics.f1_score(label_TC.ravel(), guess_TC.ravel())
        for label_TC, guess_TC in zip(test.labels, guesses, strict=True)
    ]
    assert want[3] == 1.0 and max(want[:3]) < 1.0
    assert score.value == pytest.approx(100 * np.mean(want))


def test_f1_is_full_where_nothing_is_there_and_nothing_is_heard():
    test = labelled([-np.ones((9, 2))], [np.zeros((9, 2), np.int64)])
    (score,) = run_probe(frame_probe(test), as_they_are)
    assert score.value == 100.0


# --- text ---

LETTERS = list("ab d")  # the space is a character too


def spoken(labels: list[list[int]]) -> Labelled:
    """Three frames of each character in a channel of its own, two of silence between them."""
    feats = []
    for label in labels:
        one_hot_LTF = np.zeros((len(label), 5, F), np.float32)
        one_hot_LTF[np.arange(len(label)), :3, label] = 3.0
        feats.append(one_hot_LTF.reshape(-1, F) + 0.1 * noise(5 * len(label), F))
    return Labelled(feats, labels)


def text_probe(test: Labelled) -> Probe:
    rng = np.random.default_rng(0)
    train = spoken([rng.integers(0, 4, 6).tolist() for _ in range(40)])
    return Probe("text", "text", LETTERS, train, test)


def test_text_is_scored_by_errors_over_all_characters():
    test = spoken([[0, 0, 1, 2, 3], [1, 2, 2, 0], [3, 3, 3]])
    test.labels[0] = [0, 0, 1, 2, 3, 0]  # one is missing
    test.labels[1] = [1, 2, 0]  # a space too many
    test.labels[2] = [3, 1, 3]  # another one
    (score,) = run_probe(text_probe(test), as_they_are, steps=150)
    assert score.value == pytest.approx(100 * 3 / 12)


def test_spaces_at_the_ends_of_a_text_count():
    test = spoken([[2, 0, 2]])
    test.labels[0] = [0]
    (score,) = run_probe(text_probe(test), as_they_are, steps=150)
    assert score.value == pytest.approx(100 * 2 / 1)


def test_a_probe_says_what_it_measures_and_in_which_direction():
    assert text_probe(spoken([[0]])).metric == "character error rate % (lower)"


# --- several probes ---


def test_every_probe_is_asked_of_every_way_to_look():
    def halves(feats_TF):
        return list(torch.from_numpy(feats_TF).chunk(2, -1))

    side = Labelled([noise(9, F), noise(7, F), noise(8, F)], [0, 1, 0])
    probes = [Probe(name, "class", ["a", "b"], side, side) for name in ("one", "two")]
    results = run_probes(probes, {"whole": as_they_are, "halves": halves}, steps=2)
    lengths = {
        (probe, name): len(scores)
        for probe, by_name in results.items()
        for name, scores in by_name.items()
    }
    want = {("one", "whole"): 1, ("one", "halves"): 2, ("two", "whole"): 1, ("two", "halves"): 2}
    assert lengths == want


def test_without_a_probe_there_is_an_error_that_says_what_to_give():
    with pytest.raises(AioError, match="nothing to probe. Give splits.*--list"):
        run_probes([], {"whole": as_they_are}, steps=2)
