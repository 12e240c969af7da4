"""Readouts: what they learn, how they count, each against a slow way to do the same."""

import math

import numpy as np
import pytest
import sklearn.metrics
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from aio_toolkit.analysis.readout import (
    READOUTS,
    ClassReadout,
    FramesReadout,
    LayerData,
    TagsReadout,
    TextReadout,
    count_errors,
    f1,
    pool,
)


def with_weights(readout, weight: list[list[float]], bias: list[float]):
    """The readout, as if it had learnt this."""
    readout.linear.load_state_dict({"weight": torch.tensor(weight), "bias": torch.tensor(bias)})
    return readout


def random_frames(*lengths: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(T, 3, generator=generator) for T in lengths]


# --- every kind ---


def test_every_kind_says_what_it_measures_and_in_which_direction():
    assert {kind: readout.metric for kind, readout in READOUTS.items()} == {
        "class": "accuracy % (higher)",
        "tags": "label ranking precision % (higher)",
        "frames": "frame F1 % (higher)",
        "text": "character error rate % (lower)",
    }


LABELS = {
    "class": [1, 0, 1],
    "tags": [np.array([1, 0]), np.array([1, 1]), np.array([0, 1])],
    "frames": [np.ones((4, 2)), np.zeros((5, 2)), np.ones((7, 2))],
    "text": [[0, 1], [1], [0, 0, 1]],
}


def make_readout(kind: str, seed: int = 0):
    torch.manual_seed(seed)
    return READOUTS[kind](LayerData(random_frames(4, 5, 7), LABELS[kind]), num_classes=2)


@pytest.mark.parametrize("kind", READOUTS)
def test_fitting_is_adamw_with_the_kind_s_rate_over_one_cycle(kind):
    """Nothing of the frozen frames is touched, and the steps are those of torch's own schedule."""
    found, other = make_readout(kind), make_readout(kind)
    torch.manual_seed(1)
    found.fit(steps=3)

    rate = {"text": 3e-2}.get(kind, 1e-2)
    optimizer = torch.optim.AdamW(other.linear.parameters(), lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=3)
    torch.manual_seed(1)
    for _ in range(3):
        other.linear.zero_grad()
        other.loss().backward()
        optimizer.step()
        schedule.step()
    assert torch.equal(found.linear.weight, other.linear.weight)


@pytest.mark.parametrize("kind", READOUTS)
def test_scoring_changes_no_weight(kind):
    readout = make_readout(kind)
    before = readout.linear.weight.clone()
    readout.score(LayerData(random_frames(4, 5, 7), LABELS[kind]))
    assert torch.equal(readout.linear.weight, before)


# --- pooling ---


@pytest.mark.parametrize("length", [1, 2, 7])
def test_an_utterance_is_the_mean_and_the_deviation_of_its_frames(length):
    (x_TD,) = random_frames(length)
    columns = x_TD.double().T.tolist()
    means = [sum(column) / length for column in columns]
    deviations = []
    for column, mean in zip(columns, means, strict=True):
        deviations.append(math.sqrt(sum((value - mean) ** 2 for value in column) / length))
    torch.testing.assert_close(pool([x_TD])[0], torch.tensor(means + deviations))


def test_utterances_do_not_mix():
    first, second = random_frames(4, 5)
    assert torch.equal(pool([first, second])[1], pool([second])[0])


# --- classes ---


def test_the_loss_of_classes_is_the_mean_cross_entropy():
    readout = make_readout("class")
    output_nC = readout.linear(pool(random_frames(4, 5, 7))).tolist()
    losses = []
    for outputs, label in zip(output_nC, LABELS["class"], strict=True):
        total = sum(math.exp(output) for output in outputs)
        losses.append(-math.log(math.exp(outputs[label]) / total))
    assert readout.loss().item() == pytest.approx(sum(losses) / 3)


def test_classes_are_scored_by_the_share_of_hits():
    data = LayerData([torch.full((2, 1), value) for value in (-1.0, 2.0, 3.0)], [0, 1, 0])
    # Above zero the mean speaks for class 1.
    readout = with_weights(ClassReadout(data, 2), [[0.0, 0.0], [1.0, 0.0]], [0.0, 0.0])
    score = readout.score(data)
    assert (score.value, score.n) == (pytest.approx(100 * 2 / 3), 3)


# --- tags ---


def test_the_loss_of_tags_is_the_mean_binary_cross_entropy():
    readout = make_readout("tags")
    output_nC = readout.linear(pool(random_frames(4, 5, 7)))
    want = nn.functional.softplus(output_nC) - output_nC * torch.tensor(np.stack(LABELS["tags"]))
    torch.testing.assert_close(readout.loss(), want.mean())


def ranking_precision(label: list[int], outputs: list[float]) -> float:
    """Mean over true tags of the share of true ones among all that are ranked as high."""
    shares = []
    for tag, is_true in enumerate(label):
        if is_true:
            as_high = [other for other in range(len(label)) if outputs[other] >= outputs[tag]]
            shares.append(sum(label[other] for other in as_high) / len(as_high))
    return sum(shares) / len(shares)


def test_tags_are_scored_by_the_precision_of_their_ranks():
    labels = [[1, 0, 1, 0], [0, 0, 0, 1], [1, 1, 0, 1]]
    outputs = [[0.5, 0.1, 0.3, 0.4], [0.9, 0.2, 0.4, 0.3], [0.1, 0.2, 0.3, 0.4]]
    frames = [torch.tensor([row]) for row in outputs]
    data = LayerData(frames, [np.array(label) for label in labels])
    # A lone frame has no deviation; its mean is the output.
    identity = torch.eye(4, 8).tolist()
    score = with_weights(TagsReadout(data, 4), identity, [0.0] * 4).score(data)
    want = np.mean([ranking_precision(*pair) for pair in zip(labels, outputs, strict=True)])
    assert (score.value, score.n) == (pytest.approx(100 * want), 3)


# --- frames ---


def test_the_loss_of_frames_is_of_frames_drawn_from_all_utterances():
    readout = make_readout("frames")
    torch.manual_seed(5)
    found = readout.loss()
    torch.manual_seed(5)
    rows = torch.randint(4 + 5 + 7, (4096,))
    output_BC = readout.linear(torch.cat(random_frames(4, 5, 7))[rows])
    label_BC = torch.tensor(np.concatenate(LABELS["frames"]))[rows]
    want = nn.functional.softplus(output_BC) - output_BC * label_BC
    torch.testing.assert_close(found, want.mean().float())


def test_frames_are_scored_by_the_mean_f1_of_utterances():
    frames = [torch.tensor([[1.0], [-1.0], [2.0]]), torch.tensor([[-3.0], [-1.0]])]
    labels = [np.array([[1], [1], [0]]), np.array([[0], [0]])]
    data = LayerData(frames, labels)
    score = with_weights(FramesReadout(data, 1), [[1.0]], [0.0]).score(data)
    # One hit, a miss and a false alarm; then nothing, and nothing heard.
    assert (score.value, score.n) == (pytest.approx((50 + 100) / 2), 2)


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (30, 5)])
def test_f1_is_that_of_all_frames_and_classes_together(shape):
    rng = np.random.default_rng(0)
    guess_TC, label_TC = rng.random(shape) < 0.6, rng.random(shape) < 0.7
    guess_TC[0, 0] = True
    want = sklearn.metrics.f1_score(label_TC.ravel(), guess_TC.ravel())
    assert f1(guess_TC, label_TC.astype(np.int64)) == pytest.approx(want)


@pytest.mark.parametrize(("guess", "label", "want"), [(0, 0, 1.0), (1, 0, 0.0), (0, 1, 0.0)])
def test_f1_of_one_sided_answers(guess, label, want):
    assert f1(np.full((3, 2), bool(guess)), np.full((3, 2), label)) == want


# --- text ---


def probability_of(label: list[int], prob_TV: np.ndarray) -> float:
    """The sum over all paths that spell a text; output 0 is the blank."""
    num_frames, num_outputs = prob_TV.shape
    total = 0.0
    for path in np.ndindex(*[num_outputs] * num_frames):
        merged = [token for i, token in enumerate(path) if i == 0 or token != path[i - 1]]
        if [token - 1 for token in merged if token > 0] == label:
            total += math.prod(prob_TV[t, token] for t, token in enumerate(path))
    return total


def test_the_loss_of_text_sums_over_all_paths():
    torch.manual_seed(0)
    frames, label = random_frames(5), [1, 1, 0]
    readout = TextReadout(LayerData(frames, [label]), num_classes=2)
    prob_TV = readout.linear(frames[0]).softmax(-1).detach().double().numpy()
    # A batch is this utterance many times over; torch's mean divides by the text's length.
    want = -math.log(probability_of(label, prob_TV)) / len(label)
    assert readout.loss().item() == pytest.approx(want, rel=1e-4)


def test_a_text_without_a_path_does_not_spoil_the_loss():
    readout = TextReadout(LayerData(random_frames(2), [[0, 0]]), num_classes=2)
    assert readout.loss().item() == 0


def test_padding_does_not_change_the_loss_of_text():
    torch.manual_seed(0)
    frames, labels = random_frames(4, 9), [[0], [1, 0]]
    readout = TextReadout(LayerData(frames, labels), num_classes=2)
    torch.manual_seed(3)
    found = readout.loss()
    torch.manual_seed(3)
    losses = []
    for row in torch.randint(2, (32,)).tolist():
        alone = TextReadout(LayerData([frames[row]], [labels[row]]), num_classes=2)
        alone.linear = readout.linear
        losses.append(alone.loss())
    torch.testing.assert_close(found, torch.stack(losses).mean())


def spelled(outputs: list[int]) -> torch.Tensor:
    """Frames (T, 4) whose greatest value is at these outputs."""
    return torch.eye(4)[outputs]


def test_text_is_scored_by_all_errors_over_all_characters():
    frames = [spelled([1, 1, 0, 1, 2]), spelled([0, 3, 3, 0]), spelled([0, 0])]
    labels = [[0, 0, 2], [2, 1], [1]]  # one wrong of three, one missing of two, all missing
    data = LayerData(frames, labels)
    readout = with_weights(TextReadout(data, 3), torch.eye(4).tolist(), [0.0] * 4)
    score = readout.score(data)
    assert (score.value, score.n) == (pytest.approx(100 * 3 / 6), 3)


# --- errors ---


def levenshtein(first: list[int], second: list[int]) -> int:
    """The fewest edits, by the recursion itself."""
    if not first or not second:
        return len(first) + len(second)
    return min(
        levenshtein(first[1:], second) + 1,
        levenshtein(first, second[1:]) + 1,
        levenshtein(first[1:], second[1:]) + (first[0] != second[0]),
    )


# Index 0 stands for a space wherever it sorts first, so also at the ends of a text.
@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 2), max_size=5), st.lists(st.integers(0, 2), max_size=5))
def test_errors_are_the_fewest_edits(reference, guess):
    assert count_errors(reference, guess) == levenshtein(reference, guess)


def test_no_character_is_stripped_or_merged():
    """Neither the first of a large alphabet, such as a space, nor any other is lost at the ends."""
    alphabet = range(5000)
    assert [index for index in alphabet if count_errors([index], []) != 1] == []
