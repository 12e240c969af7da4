"""Linear layers that read labels from frozen frames, one class for each kind of label.

Letters: n utterances, T frames of one, M frames of all, B batch, D width, C classes, V outputs.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, override

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from aio_toolkit.scoring.intervals import Interval, mean_interval, ratio, score_interval

# Utterances and frames in a batch of the readouts that draw batches.
BATCH_UTTERANCES, BATCH_FRAMES = 32, 4096
# From this code point on no character is white space, which jiwer would strip at the ends.
FIRST_LETTER = 0xE000


@dataclass
class LayerData:
    """One layer's frames of some utterances, and what is to be read from them.

    Attributes:
        frames: frames (T, D) of every utterance, standardised.
        labels: its label, as the readout takes it.
    """

    frames: list[torch.Tensor]
    labels: list[Any]


class Readout(ABC):
    """A linear layer that learns labels of one kind from some utterances and is scored on others.

    Attributes:
        metric: name and direction of the score.
        peak_rate: the highest learning rate of its schedule.
        linear: the layer.

    >>> _ = torch.manual_seed(0)
    >>> frames = [torch.full((3, 1), -1.0), torch.full((5, 1), 1.0)]
    >>> data = LayerData(frames, labels=[0, 1])
    >>> readout = ClassReadout(data, num_classes=2)
    >>> readout.fit(steps=300)
    >>> readout.score(data).value
    100.0
    """

    metric: ClassVar[str]
    peak_rate: ClassVar[float] = 1e-2
    linear: nn.Linear

    @abstractmethod
    def __init__(self, train: LayerData, num_classes: int):
        """Make the layer for so many classes, to be trained on `train`."""

    @abstractmethod
    def loss(self) -> torch.Tensor:
        """The loss of the training utterances, or of a batch of them that is drawn anew."""

    @abstractmethod
    def score(self, test: LayerData) -> Interval:
        """The score on utterances that it was not trained on."""

    def fit(self, steps: int) -> None:
        """Train the layer; every layer that is compared gets the same number of steps."""
        parameters = self.linear.parameters()
        optimizer = AdamW(parameters, lr=self.peak_rate, weight_decay=1e-2)
        schedule = OneCycleLR(optimizer, self.peak_rate, total_steps=steps)
        for _ in range(steps):
            optimizer.zero_grad()
            loss = self.loss()
            loss.backward()
            optimizer.step()
            schedule.step()

    @torch.no_grad()
    def outputs(self, x: torch.Tensor) -> torch.Tensor:
        """What the trained layer makes of inputs (..., D): (..., V)."""
        return self.linear(x)


class ClassReadout(Readout):
    """One class an utterance, from its frames' mean and deviation; a label is a class's index."""

    metric = "accuracy % (higher)"

    def __init__(self, train: LayerData, num_classes: int):
        self.x_nD = pool(train.frames)
        self.label_n = torch.tensor(train.labels)
        width = self.x_nD.shape[1]
        self.linear = nn.Linear(width, num_classes)

    @override
    def loss(self) -> torch.Tensor:
        """Cross-entropy of all utterances."""
        output_nC = self.linear(self.x_nD)
        return F.cross_entropy(output_nC, self.label_n)

    @override
    def score(self, test: LayerData) -> Interval:
        """The share of utterances whose class is guessed."""
        x_nD = pool(test.frames)
        guess_n = self.outputs(x_nD).argmax(1)
        label_n = torch.tensor(test.labels)
        hit_n = (guess_n == label_n).numpy()
        return mean_interval(100.0 * hit_n)


class TagsReadout(Readout):
    """Several classes an utterance; a label is an array (C,) of 0 and 1."""

    metric = "label ranking precision % (higher)"

    def __init__(self, train: LayerData, num_classes: int):
        self.x_nD = pool(train.frames)
        label_nC = np.stack(train.labels)
        self.label_nC = torch.from_numpy(label_nC).float()
        width = self.x_nD.shape[1]
        self.linear = nn.Linear(width, num_classes)

    @override
    def loss(self) -> torch.Tensor:
        """Binary cross-entropy of all utterances and classes."""
        output_nC = self.linear(self.x_nD)
        return F.binary_cross_entropy_with_logits(output_nC, self.label_nC)

    @override
    def score(self, test: LayerData) -> Interval:
        """The share of given tags among all that are ranked as high as one, mean over these."""
        # Slow to import.
        from sklearn.metrics import label_ranking_average_precision_score

        x_nD = pool(test.frames)
        output_nC = self.outputs(x_nD).numpy()
        scores = []
        for label_C, output_C in zip(test.labels, output_nC, strict=True):
            precision = label_ranking_average_precision_score([label_C], [output_C])
            scores.append(100 * precision)
        return mean_interval(np.array(scores))


class FramesReadout(Readout):
    """Yes or no of every class in every frame; a label is an array (T, C) of 0 and 1."""

    metric = "frame F1 % (higher)"

    def __init__(self, train: LayerData, num_classes: int):
        self.x_MD = torch.cat(train.frames)
        label_MC = np.concatenate(train.labels)
        self.label_MC = torch.from_numpy(label_MC).float()
        width = self.x_MD.shape[1]
        self.linear = nn.Linear(width, num_classes)

    @override
    def loss(self) -> torch.Tensor:
        """Binary cross-entropy of frames drawn from all utterances."""
        num_frames = len(self.x_MD)
        # With replacement: a batch may be larger than all utterances together.
        row_B = torch.randint(num_frames, (BATCH_FRAMES,))
        output_BC = self.linear(self.x_MD[row_B])
        label_BC = self.label_MC[row_B]
        return F.binary_cross_entropy_with_logits(output_BC, label_BC)

    @override
    def score(self, test: LayerData) -> Interval:
        """Mean F1 over utterances, of all frames and classes together."""
        scores = []
        for x_TD, label_TC in zip(test.frames, test.labels, strict=True):
            # A logit above zero is a probability above one half.
            guess_TC = self.outputs(x_TD).numpy() > 0
            score = f1(guess_TC, label_TC)
            scores.append(100 * score)
        return mean_interval(np.array(scores))


class TextReadout(Readout):
    """Characters by CTC (Graves et al. 2006); a label is a list of their indices."""

    metric = "character error rate % (lower)"
    # CTC starts from all blanks and needs more to leave them.
    peak_rate = 3e-2

    def __init__(self, train: LayerData, num_classes: int):
        self.frames = train.frames
        # Output 0 is the blank, so every character is one further on.
        self.labels = [torch.tensor(label, dtype=torch.long) + 1 for label in train.labels]
        width = self.frames[0].shape[1]
        self.linear = nn.Linear(width, num_classes + 1)

    @override
    def loss(self) -> torch.Tensor:
        """CTC loss of utterances drawn with replacement."""
        num_utterances = len(self.frames)
        row_B = torch.randint(num_utterances, (BATCH_UTTERANCES,))
        rows = row_B.tolist()
        frames = [self.frames[row] for row in rows]
        labels = [self.labels[row] for row in rows]
        frames_B = [len(x_TD) for x_TD in frames]
        tokens_B = [len(label) for label in labels]

        x_BTD = pad_sequence(frames, batch_first=True)
        log_prob_BTV = self.linear(x_BTD).log_softmax(-1)
        return F.ctc_loss(
            log_prob_BTV.transpose(0, 1),
            torch.cat(labels),
            input_lengths=torch.tensor(frames_B),
            target_lengths=torch.tensor(tokens_B),
            # A text with more characters than frames has no path; it must not spoil the others.
            zero_infinity=True,
        )

    @override
    def score(self, test: LayerData) -> Interval:
        """All errors of the best path over all characters, a space being a character too."""
        counts = []
        for x_TD, label in zip(test.frames, test.labels, strict=True):
            best_T = self.outputs(x_TD).argmax(-1)
            # A path repeats a character for as long as it lasts, and puts blanks between equals.
            path = best_T.unique_consecutive().tolist()
            guess = [output - 1 for output in path if output > 0]
            errors = count_errors(label, guess)
            counts.append([100.0 * errors, len(label)])
        return score_interval(np.array(counts), ratio)


READOUTS: dict[str, type[Readout]] = {
    "class": ClassReadout,
    "tags": TagsReadout,
    "frames": FramesReadout,
    "text": TextReadout,
}


def pool(frames: Sequence[torch.Tensor]) -> torch.Tensor:
    """Mean and deviation over time of every utterance's frames (T, D): (n, 2 D).

    >>> pool([torch.tensor([[0.0], [2.0]])])
    tensor([[1., 1.]])
    """
    pooled = []
    for x_TD in frames:
        mean_D = x_TD.mean(0)
        # A lone frame has a deviation too, zero.
        deviation_D = x_TD.std(0, unbiased=False)
        pooled_D = torch.cat([mean_D, deviation_D])
        pooled.append(pooled_D)
    return torch.stack(pooled)


def f1(guess_TC: np.ndarray, label_TC: np.ndarray) -> float:
    """F1 of all frames and classes of an utterance; 1 where both say no everywhere.

    >>> f1(np.array([[True, True]]), np.array([[1, 0]]))
    0.6666666666666666
    """
    hit_TC = guess_TC & (label_TC > 0)
    hits = float(hit_TC.sum())
    total = float(guess_TC.sum() + label_TC.sum())
    if total == 0:
        return 1.0
    return 2 * hits / total


def count_errors(reference: Sequence[int], guess: Sequence[int]) -> int:
    """Fewest substitutions, deletions and insertions between two lists of characters.

    >>> count_errors([5, 3, 3], [3, 3, 4])
    2
    """
    # Slow to import.
    import jiwer

    alignment = jiwer.process_characters(_spell(reference), _spell(guess))
    return alignment.substitutions + alignment.deletions + alignment.insertions


def _spell(characters: Sequence[int]) -> str:
    letters = [chr(FIRST_LETTER + index) for index in characters]
    return "".join(letters)
