"""Watches every step for collapse and for spikes.

Of routing, where experts are lost, of representations, where frames are, and of the loss.
"""

import statistics
import warnings
from collections import deque
from collections.abc import Iterable, Sequence

import torch

from aio_toolkit.errors import shown
from aio_toolkit.moe.base import Tables
from aio_toolkit.moe.figures import layer_figures

# Steps in a row that something must look collapsed for: it may start so and recover.
PATIENCE = 20


class _Alarm:
    """Counts bad steps in a row, by name, and goes off once for each name."""

    def __init__(self, names: Iterable[str]):
        self.bad_steps = dict.fromkeys(names, 0)

    def goes_off(self, name: str, *, bad: bool) -> bool:
        """Count a step; True when it is the one that makes them too many."""
        before = self.bad_steps[name]
        self.bad_steps[name] = before + 1 if bad else 0
        return self.bad_steps[name] == PATIENCE


class RoutingMonitor:
    """Turns routing tables into figures and warns once of each layer that has collapsed.

    A layer has collapsed when all tasks together keep visiting no more experts than a single token
    does: its other experts are lost for good, as they get no gradient.

    >>> from aio_toolkit.moe.base import RoutingTable
    >>> count_GE = torch.tensor([[6.0, 6.0, 0.0, 0.0]])
    >>> table = RoutingTable(torch.tensor([6.0]), *[count_GE] * 4, torch.zeros(1))
    >>> monitor = RoutingMonitor(["asr"], visits={"block1.feed_forward": 2})
    >>> figures = monitor.watch(step=0, tables={"block1.feed_forward": table})
    >>> round(figures["block1.feed_forward/effective_experts"], 2)
    2.0
    """

    # Effective experts, as a multiple of a token's visits, up to which a layer counts as collapsed.
    MARGIN = 1.1

    def __init__(self, tasks: Sequence[str], visits: dict[str, int]):
        """Begin to count.

        Args:
            tasks: names of the tasks, in the order of the tables' rows.
            visits: experts that a token visits in each layer, by the layer's name.
        """
        self.tasks = tasks
        self.visits = visits
        self.alarm = _Alarm(visits)

    def watch(self, step: int, tables: Tables) -> dict[str, float]:
        """Figures of one optimizer step, by name; warn of layers that have been collapsed for long.

        Args:
            step: its number.
            tables: routing tables of all its micro-batches, by layer.
        """
        figures: dict[str, float] = {}
        for name, table in tables.items():
            of_layer = layer_figures(table, self.tasks)
            for key, value in of_layer.items():
                figures[f"{name}/{key}"] = value

            num_experts = table.count_GE.shape[1]
            visits = self.visits[name]
            effective = of_layer["effective_experts"]
            # Where a token visits all experts there is nothing to lose.
            has_choice = num_experts > visits
            collapsed = has_choice and effective <= self.MARGIN * visits
            if self.alarm.goes_off(name, bad=collapsed):
                when = f"for {PATIENCE} steps up to step {step}"
                found = f"visited {effective:.1f} of {num_experts} experts"
                remedy = "Raise the weight of moe.balance or the noise of moe.router"
                warnings.warn(
                    f"routing of {name} has collapsed: {when} all tasks together {found}. "
                    f"{remedy}, or lower optim.lr.",
                    stacklevel=2,
                )
        return figures


class CollapseMonitor:
    """Warns once when a self-supervised encoder answers the same whatever it hears.

    It watches figures that are near one in health: the spread of embeddings and of targets, and the
    share of labels in use.

    >>> monitor = CollapseMonitor()
    >>> monitor.watch(step=0, figures={"embedding_std": torch.tensor(0.9)})  # says nothing
    """

    LEAST = {
        "embedding_std": 0.05,
        "target_std": 0.05,
        "prediction_std": 0.01,
        "label_usage": 0.1,
    }

    def __init__(self) -> None:
        self.alarm = _Alarm(self.LEAST)

    def watch(self, step: int, figures: dict[str, torch.Tensor]) -> None:
        """Look at the figures of one step.

        Args:
            step: its number.
            figures: those that an objective gave, of which some are watched.
        """
        for name in self.LEAST.keys() & figures.keys():
            value, least = float(figures[name]), self.LEAST[name]
            if self.alarm.goes_off(name, bad=value < least):
                when = f"for {PATIENCE} steps up to step {step}"
                found = f"{name} has been {value:.3f}, below {least}, {when}"
                remedy = "Lower optim.lr, mask more (masking.share), or choose another"
                warnings.warn(
                    f"the encoder is collapsing: {found}. {remedy} objective.kind.",
                    stacklevel=2,
                )


class SpikeMonitor:
    """Warns of a loss that is far above those before it, with the utterances that it is of.

    >>> monitor = SpikeMonitor()
    >>> monitor.watch(step=0, loss=2.5, ids=["asr-1"])  # nothing to compare with yet
    """

    # Losses to compare with, at most and at least, and how far above them one is, in standard
    # deviations.
    MOST, LEAST, SPREADS = 100, 50, 8.0

    def __init__(self) -> None:
        self.before: deque[float] = deque(maxlen=self.MOST)

    def watch(self, step: int, loss: float, ids: Sequence[str]) -> None:
        """Look at the loss of one micro-batch.

        Args:
            step: its number.
            loss: the loss.
            ids: the utterances.
        """
        if len(self.before) >= self.LEAST:
            mean, spread = statistics.fmean(self.before), statistics.stdev(self.before)
            if loss > mean + self.SPREADS * spread:
                usual = f"{mean:.3g} ± {spread:.3g} in the steps before"
                found = f"the loss rose to {loss:.3g} at step {step}, after {usual}"
                warnings.warn(f"{found} (batch with {shown(ids)})", stacklevel=2)
        self.before.append(loss)
