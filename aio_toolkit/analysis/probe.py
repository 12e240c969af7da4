"""What a linear layer finds in frozen features, layer by layer (SUPERB, Yang et al. 2021; HEAR,
2022).

Letters: S samples, T frames, D width of a layer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from aio_toolkit.analysis.readout import READOUTS, LayerData
from aio_toolkit.errors import AioError
from aio_toolkit.progress import progress
from aio_toolkit.scoring.intervals import Interval

# Maps a wave (S,) to the frames (T, D) of every layer.
Extract = Callable[[np.ndarray], list[torch.Tensor]]
# Scores by probe and by way to look, one a layer.
Results = dict[str, dict[str, list[Interval]]]


@dataclass
class Labelled:
    """Utterances of a probe.

    Attributes:
        waves: the recording (S,) of each.
        labels: what the probe's readout takes.
    """

    waves: list[np.ndarray]
    labels: list[Any]

    def __len__(self) -> int:
        return len(self.waves)


@dataclass
class Probe:
    """A question to frozen features.

    Attributes:
        name: what is asked for.
        kind: kind of label, a key of `readout.READOUTS`: `class`, one an utterance; `tags`, several
            of them; `frames`, yes or no in every frame; `text`, characters.
        classes: names of the classes; characters for `text`.
        train: utterances to fit the linear layer on.
        test: utterances to score.

    >>> nobody = Labelled([], [])
    >>> Probe("speaker", "class", ["ann", "bob"], nobody, nobody).metric
    'accuracy % (higher)'
    """

    name: str
    kind: str
    classes: list[str]
    train: Labelled
    test: Labelled

    @property
    def metric(self) -> str:
        """Name and direction of the score."""
        return READOUTS[self.kind].metric


def run_probes(probes: Sequence[Probe], extracts: Mapping[str, Extract], steps: int) -> Results:
    """Every probe on every way to look.

    Args:
        probes: what is asked.
        extracts: the ways to look at features, by name.
        steps: optimizer steps of each linear layer.

    Raises:
        AioError: there is no probe.
    """
    if not probes:
        remedy = "Give splits that share a task with a probe, or labelled files (--list)."
        raise AioError(f"there is nothing to probe. {remedy}")
    results: Results = {}
    # One bar for all, as a probe takes seconds to minutes.
    pairs = [(probe, name) for probe in probes for name in extracts]
    for probe, name in progress(pairs, "probe", unit="probe"):
        scores = run_probe(probe, extracts[name], steps)
        of_probe = results.setdefault(probe.name, {})
        of_probe[name] = scores
    return results


def run_probe(probe: Probe, extract: Extract, steps: int = 300, seed: int = 0) -> list[Interval]:
    """Score of a linear layer on each layer of `extract`, all with the same budget.

    1. Extract the layers of all utterances once.
    2. Standardise the frames of a layer by its training utterances.
    3. Train a linear layer on these, and score it on the test utterances.

    Args:
        probe: question, and who is asked.
        extract: a frozen encoder.
        steps: optimizer steps of each linear layer.
        seed: of its initialisation and batches.

    >>> waves = [np.full(4, value, dtype=np.float32) for value in (-1.0, 1.0)]
    >>> side = Labelled(waves, labels=[0, 1])
    >>> probe = Probe("sign", "class", ["-", "+"], side, side)
    >>> [score] = run_probe(probe, lambda wave_S: [torch.from_numpy(wave_S)[:, None]])
    >>> score.value
    100.0
    """
    # The encoder runs once an utterance, not once a layer.
    train = [extract(wave_S) for wave_S in probe.train.waves]
    test = [extract(wave_S) for wave_S in probe.test.waves]
    make_readout = READOUTS[probe.kind]
    num_classes, num_layers = len(probe.classes), len(train[0])

    scores = []
    for layer in range(num_layers):
        # Each layer starts anew, so that equal layers have equal scores.
        torch.manual_seed(seed)
        train_n = [layers[layer] for layers in train]
        test_n = [layers[layer] for layers in test]
        train_n, test_n = standardise(train_n, test_n)

        train_data = LayerData(train_n, probe.train.labels)
        readout = make_readout(train_data, num_classes)
        readout.fit(steps)
        test_data = LayerData(test_n, probe.test.labels)
        score = readout.score(test_data)
        scores.append(score)
    return scores


def standardise(
    train: Sequence[torch.Tensor], test: Sequence[torch.Tensor]
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Zero mean and unit variance of every channel over the frames of the training utterances.

    Args:
        train: frames (T, D) of the training utterances.
        test: those of the test utterances.

    >>> train, test = standardise([torch.tensor([[1.0], [3.0]])], [torch.tensor([[4.0]])])
    >>> test[0]
    tensor([[1.4142]])
    """
    frames_MD = torch.cat(list(train))
    mean_D = frames_MD.mean(0)
    # A channel that never changes must not be divided by zero.
    std_D = frames_MD.std(0).clamp_min(1e-5)
    # By the training side alone: the test side must not tell of itself.
    standard_train = [(x_TD - mean_D) / std_D for x_TD in train]
    standard_test = [(x_TD - mean_D) / std_D for x_TD in test]
    return standard_train, standard_test
