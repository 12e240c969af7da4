"""What a linear layer finds in frozen features, layer by layer (SUPERB, Yang et al. 2021; HEAR,
2022).

Letters: n utterances, T frames, D width of a layer, C classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jiwer
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from aio_toolkit.progress import progress
from aio_toolkit.scoring.intervals import Interval, mean_interval, score_interval

# Utterances and frames in a batch of the probes that draw batches.
BATCH_UTTERANCES, BATCH_FRAMES = 32, 4096
# Peak learning rates; CTC starts from all blanks and needs more.
RATE, CTC_RATE = 1e-2, 3e-2

# Frames (T, D) of every utterance.
Frames = list[torch.Tensor]
# Maps features (T, F) to the frames (T, D) of every layer.
Extract = Callable[[np.ndarray], list[torch.Tensor]]


@dataclass
class Labelled:
    """Utterances of a probe.

    Attributes:
        feats: features (T, F) of each, of the front end.
        labels: what `Probe.kind` asks for.
    """

    feats: list[np.ndarray]
    labels: list[Any]

    def __len__(self) -> int:
        return len(self.feats)


@dataclass
class Probe:
    """A question to frozen features.

    Attributes:
        name: what is asked for.
        kind: `class`, one label an utterance, from features averaged over time; `tags`, several of
            them; `frames`, a vector of yes and no for every frame; `text`, by CTC.
        classes: names of the classes; characters for `text`.
        train: utterances to fit the linear layer on. Labels are a class index, a (C,) or (T, C)
            array of 0 and 1, or a list of class indices.
        test: utterances to score.
    """

    name: str
    kind: str
    classes: list[str]
    train: Labelled
    test: Labelled

    @property
    def metric(self) -> str:
        """Name and direction of the score."""
        return METRICS[self.kind]


METRICS = {
    "class": "accuracy % (higher)",
    "tags": "label ranking precision % (higher)",
    "frames": "frame F1 % (higher)",
    "text": "character error rate % (lower)",
}
# Scores by probe and by way to look, one a layer.
Results = dict[str, dict[str, list[Interval]]]


def run_probes(probes: Sequence[Probe], extracts: dict[str, Extract], steps: int) -> Results:
    """Every probe on every way to look."""
    results: Results = {}
    pairs = [(probe, name) for probe in probes for name in extracts]
    for probe, name in progress(pairs, "probe", unit="probe"):
        scores = run_probe(probe, extracts[name], steps)
        results.setdefault(probe.name, {})[name] = scores
    return results


def run_probe(probe: Probe, extract: Extract, steps: int = 300, seed: int = 0) -> list[Interval]:
    """Score of a linear layer on each layer of `extract`, all with the same budget.

    Args:
        probe: question, and who is asked.
        extract: a frozen encoder.
        steps: optimizer steps of each linear layer.
        seed: of its initialisation and batches.
    """
    train = [extract(feats_TF) for feats_TF in probe.train.feats]
    test = [extract(feats_TF) for feats_TF in probe.test.feats]
    scores = []
    for layer in range(len(train[0])):
        torch.manual_seed(seed)
        train_n = [states[layer] for states in train]
        test_n = [states[layer] for states in test]
        scores.append(FITS[probe.kind](probe, *_standardise(train_n, test_n), steps))
    return scores


def _standardise(train: Frames, test: Frames) -> tuple[Frames, Frames]:
    """Zero mean and unit variance of every channel over the frames of the training utterances."""
    frames = torch.cat(train)
    mean_D = frames.mean(0)
    std_D = frames.std(0).clamp_min(1e-5)
    return [(x - mean_D) / std_D for x in train], [(x - mean_D) / std_D for x in test]


def _pool(frames_n: Frames) -> torch.Tensor:
    """Mean and deviation over time (n, 2 D)."""
    pooled = [torch.cat([x.mean(0), x.std(0, unbiased=False)]) for x in frames_n]
    return torch.stack(pooled)


def _fit(
    linear: nn.Linear, loss_of: Callable[[], torch.Tensor], steps: int, rate: float = RATE
) -> None:
    optimizer = torch.optim.AdamW(linear.parameters(), lr=rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of().backward()
        optimizer.step()
        schedule.step()


def _fit_class(probe: Probe, train: Frames, test: Frames, steps: int) -> Interval:
    x_nD, label_n = _pool(train), torch.tensor(probe.train.labels)
    linear = nn.Linear(x_nD.shape[1], len(probe.classes))
    _fit(linear, lambda: F.cross_entropy(linear(x_nD), label_n), steps)
    with torch.no_grad():
        guess_n = linear(_pool(test)).argmax(1)
    hit_n = guess_n == torch.tensor(probe.test.labels)
    return mean_interval(100.0 * hit_n.numpy())


def _fit_tags(probe: Probe, train: Frames, test: Frames, steps: int) -> Interval:
    from sklearn.metrics import label_ranking_average_precision_score as precision

    x_nD = _pool(train)
    label_nC = torch.from_numpy(np.stack(probe.train.labels)).float()
    linear = nn.Linear(x_nD.shape[1], len(probe.classes))
    _fit(linear, lambda: F.binary_cross_entropy_with_logits(linear(x_nD), label_nC), steps)
    with torch.no_grad():
        score_nC = linear(_pool(test)).numpy()
    pairs = zip(probe.test.labels, score_nC, strict=True)
    return mean_interval(np.array([100 * precision([label], [score]) for label, score in pairs]))


def _fit_frames(probe: Probe, train: Frames, test: Frames, steps: int) -> Interval:
    x_MD = torch.cat(train)
    label_MC = torch.from_numpy(np.concatenate(probe.train.labels)).float()
    linear = nn.Linear(x_MD.shape[1], len(probe.classes))

    def loss() -> torch.Tensor:
        rows = torch.randint(len(x_MD), (BATCH_FRAMES,))
        return F.binary_cross_entropy_with_logits(linear(x_MD[rows]), label_MC[rows])

    _fit(linear, loss, steps)
    with torch.no_grad():
        guesses = [linear(x_TD).numpy() > 0 for x_TD in test]
    pairs = zip(guesses, probe.test.labels, strict=True)
    return mean_interval(np.array([100 * _f1(guess, label) for guess, label in pairs]))


def _f1(guess_TC: np.ndarray, label_TC: np.ndarray) -> float:
    """F1 of all frames and classes of an utterance together; 1 where both say no everywhere."""
    hits = float((guess_TC & (label_TC > 0)).sum())
    total = float(guess_TC.sum() + label_TC.sum())
    return 2 * hits / total if total else 1.0


def _fit_text(probe: Probe, train: Frames, test: Frames, steps: int) -> Interval:
    linear = nn.Linear(train[0].shape[1], len(probe.classes) + 1)  # class 0 is the blank
    labels = [torch.tensor(label) + 1 for label in probe.train.labels]

    def loss() -> torch.Tensor:
        rows = torch.randint(len(train), (BATCH_UTTERANCES,)).tolist()
        x_BTD = nn.utils.rnn.pad_sequence([train[row] for row in rows], batch_first=True)
        log_prob_TBC = linear(x_BTD).log_softmax(-1).transpose(0, 1)
        frames_B = torch.tensor([len(train[row]) for row in rows])
        tokens_B = torch.tensor([len(labels[row]) for row in rows])
        target = torch.cat([labels[row] for row in rows])
        return F.ctc_loss(log_prob_TBC, target, frames_B, tokens_B, zero_infinity=True)

    _fit(linear, loss, steps, CTC_RATE)
    with torch.no_grad():
        guesses = [linear(x_TD).argmax(-1).unique_consecutive() for x_TD in test]
    counts = []
    for guess, label in zip(guesses, probe.test.labels, strict=True):
        reference = "".join(probe.classes[index] for index in label)
        hypothesis = "".join(probe.classes[token - 1] for token in guess.tolist() if token > 0)
        counts.append(_character_errors(reference, hypothesis))
    return score_interval(np.array(counts), lambda sums_RK: 100.0 * sums_RK[:, 0] / sums_RK[:, 1])


def _character_errors(reference: str, hypothesis: str) -> tuple[float, float]:
    """Errors, and characters of the reference; a space is a character too."""
    # jiwer would strip spaces at the ends.
    spelled = [text.replace(" ", "_") for text in (reference, hypothesis)]
    output = jiwer.process_characters(*spelled)
    errors = output.substitutions + output.deletions + output.insertions
    return float(errors), float(output.hits + output.substitutions + output.deletions)


FITS = {"class": _fit_class, "tags": _fit_tags, "frames": _fit_frames, "text": _fit_text}
