"""Which checkpoint of a multitask run is the best, all tasks counting alike."""

from collections import defaultdict
from typing import Any

import torch

# A standard error of less than this share of the loss says that the utterances are all alike.
LEAST_ERROR = 1e-3


class DevScore:
    """How far the dev losses have fallen since the first validation, each in units of its own
    noise.

    Losses of different tasks have different scales: their sum is ruled by the largest. So each
    counts as (first dev loss - dev loss) / standard error of the first, where the error is over
    utterances, and the score is the mean over tasks. The first validation scores zero.

    >>> score = DevScore()
    >>> score.add("asr", torch.tensor([3.0, 5.0]))
    >>> score.close()
    0.0
    >>> score.add("asr", torch.tensor([2.0, 4.0]))
    >>> score.close()
    1.0
    """

    def __init__(self) -> None:
        # Of the first validation, by task: mean and standard error.
        self.first: dict[str, tuple[float, float]] = {}
        self.rows: dict[str, list[torch.Tensor]] = defaultdict(list)

    def add(self, task: str, rows_B: torch.Tensor) -> None:
        """Note the losses of a validation batch, one an utterance."""
        self.rows[task].append(rows_B.detach().double().cpu())

    def close(self) -> float:
        """The score of the validation that ends here; the next begins."""
        losses = {task: torch.cat(rows) for task, rows in self.rows.items()}
        self.rows.clear()
        falls = []
        for task, loss_n in losses.items():
            mean = loss_n.mean().item()
            if task not in self.first:
                self.first[task] = mean, _standard_error(loss_n)
            first, error = self.first[task]
            falls.append((first - mean) / error)
        return sum(falls) / len(falls) if falls else 0.0

    def state(self) -> dict[str, Any]:
        """What a resumed run has to know: the first validation."""
        return {"first": {task: list(pair) for task, pair in self.first.items()}}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.first = {task: (pair[0], pair[1]) for task, pair in state["first"].items()}


def _standard_error(loss_n: torch.Tensor) -> float:
    least = LEAST_ERROR * abs(loss_n.mean().item()) + torch.finfo(torch.float32).tiny
    if len(loss_n) < 2:
        return least
    return max(least, (loss_n.std() / len(loss_n) ** 0.5).item())
