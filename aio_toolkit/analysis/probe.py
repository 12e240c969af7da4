"""What a linear layer finds in frozen features: linear probes, layer by layer (SUPERB, Yang et al. 2021; HEAR, 2022).

Letters: n utterances, T frames, D width of a layer, C classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from aio_toolkit.scoring.bootstrap import Figure, mean_figure
from aio_toolkit.scoring.text import word_error_rate, word_errors


@dataclass
class Labelled:
    """Utterances of a probe.

    Attributes:
        feats: features (T, F) of each, of the front end.
        labels: what `Probe.kind` asks for.
    """

    feats: list[np.ndarray]
    labels: list

    def __len__(self) -> int:
        return len(self.feats)


@dataclass
class Probe:
    """A question to frozen features.

    Attributes:
        name: what is asked for.
        kind: `class`, one label an utterance, from features averaged over time; `tags`, several of them; `frames`,
            a vector of yes and no for every frame; `text`, by CTC.
        classes: names of the classes; characters for `text`.
        train: utterances to fit the linear layer on. Labels are a class index, a (C,) or (T, C) array of 0 and 1, or a
            list of class indices.
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
# Maps features (T, F) to the frames (T, D) of every layer.
Extract = Callable[[np.ndarray], list[torch.Tensor]]


def run_probe(probe: Probe, extract: Extract, steps: int = 300, seed: int = 0) -> list[Figure]:
    """Score of a linear layer on each layer of `extract`, all with the same budget.

    Args:
        probe: question, and who is asked.
        extract: a frozen encoder.
        steps: optimiser steps of each linear layer.
        seed: of its initialisation and batches.
    """
    train = [extract(feats_TF) for feats_TF in probe.train.feats]
    test = [extract(feats_TF) for feats_TF in probe.test.feats]
    figures = []
    for layer in range(len(train[0])):
        torch.manual_seed(seed)
        train_n, test_n = _standardise([states[layer] for states in train], [states[layer] for states in test])
        figures.append(FITS[probe.kind](probe, train_n, test_n, steps))
    return figures


def _standardise(train: list[torch.Tensor], test: list[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Zero mean and unit variance of every channel over the frames of the training utterances."""
    frames = torch.cat(train)
    mean_D, std_D = frames.mean(0), frames.std(0).clamp_min(1e-5)
    return [(x - mean_D) / std_D for x in train], [(x - mean_D) / std_D for x in test]


def _pool(frames_n: list[torch.Tensor]) -> torch.Tensor:
    """Mean and deviation over time (n, 2 D)."""
    return torch.stack([torch.cat([x.mean(0), x.std(0, unbiased=False)]) for x in frames_n])


def _fit(linear: nn.Linear, loss_of: Callable[[], torch.Tensor], steps: int, lr: float) -> None:
    optimizer = torch.optim.AdamW(linear.parameters(), lr=lr, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of().backward()
        optimizer.step()
        schedule.step()


def _fit_class(probe: Probe, train: list[torch.Tensor], test: list[torch.Tensor], steps: int) -> Figure:
    x_nD, label_n = _pool(train), torch.tensor(probe.train.labels)
    linear = nn.Linear(x_nD.shape[1], len(probe.classes))
    _fit(linear, lambda: F.cross_entropy(linear(x_nD), label_n), steps, 1e-2)
    with torch.no_grad():
        hit_n = linear(_pool(test)).argmax(1) == torch.tensor(probe.test.labels)
    return mean_figure(100.0 * hit_n.numpy())


def _fit_tags(probe: Probe, train: list[torch.Tensor], test: list[torch.Tensor], steps: int) -> Figure:
    from sklearn.metrics import label_ranking_average_precision_score

    x_nD, label_nC = _pool(train), torch.from_numpy(np.stack(probe.train.labels)).float()
    linear = nn.Linear(x_nD.shape[1], len(probe.classes))
    _fit(linear, lambda: F.binary_cross_entropy_with_logits(linear(x_nD), label_nC), steps, 1e-2)
    with torch.no_grad():
        score_nC = linear(_pool(test)).numpy()
    pairs = zip(probe.test.labels, score_nC, strict=True)
    return mean_figure(np.array([100 * label_ranking_average_precision_score([label], [s]) for label, s in pairs]))


def _fit_frames(probe: Probe, train: list[torch.Tensor], test: list[torch.Tensor], steps: int) -> Figure:
    x_MD, label_MC = torch.cat(train), torch.from_numpy(np.concatenate(probe.train.labels)).float()
    linear = nn.Linear(x_MD.shape[1], len(probe.classes))

    def loss() -> torch.Tensor:
        rows = torch.randint(len(x_MD), (4096,))
        return F.binary_cross_entropy_with_logits(linear(x_MD[rows]), label_MC[rows])

    _fit(linear, loss, steps, 1e-2)
    with torch.no_grad():
        scores = [_f1(linear(x).numpy() > 0, label) for x, label in zip(test, probe.test.labels, strict=True)]
    return mean_figure(100 * np.array(scores))


def _f1(guess_TC: np.ndarray, label_TC: np.ndarray) -> float:
    hits = float((guess_TC & (label_TC > 0)).sum())
    total = float(guess_TC.sum() + label_TC.sum())
    return 2 * hits / total if total else 1.0


def _fit_text(probe: Probe, train: list[torch.Tensor], test: list[torch.Tensor], steps: int) -> Figure:
    linear = nn.Linear(train[0].shape[1], len(probe.classes) + 1)  # class 0 is the blank
    labels = [torch.tensor(label) + 1 for label in probe.train.labels]

    def loss() -> torch.Tensor:
        rows = torch.randint(len(train), (32,)).tolist()
        x_BTD = nn.utils.rnn.pad_sequence([train[row] for row in rows], batch_first=True)
        log_prob_TBC = linear(x_BTD).log_softmax(-1).transpose(0, 1)
        frames_B = torch.tensor([len(train[row]) for row in rows])
        tokens_B = torch.tensor([len(labels[row]) for row in rows])
        target = torch.cat([labels[row] for row in rows])
        return F.ctc_loss(log_prob_TBC, target, frames_B, tokens_B, zero_infinity=True)

    _fit(linear, loss, steps, 3e-2)
    with torch.no_grad():
        guesses = [_spell(linear(x).argmax(-1).unique_consecutive().tolist(), probe.classes) for x in test]
    references = [_spell([index + 1 for index in label], probe.classes) for label in probe.test.labels]
    return word_error_rate(word_errors(references, guesses))


def _spell(tokens: Sequence[int], classes: list[str]) -> str:
    """Characters as words, so that words are what the error rate counts; a space is a character too."""
    return " ".join("_" if classes[token - 1] == " " else classes[token - 1] for token in tokens if token > 0)


FITS = {"class": _fit_class, "tags": _fit_tags, "frames": _fit_frames, "text": _fit_text}
