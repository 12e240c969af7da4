"""Watches every step for collapse: of routing, where experts are lost, and of representations,
where frames are."""

import warnings
from collections.abc import Iterable, Sequence

import torch

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
        self.bad_steps[name] = self.bad_steps[name] + 1 if bad else 0
        return self.bad_steps[name] == PATIENCE


class RoutingMonitor:
    """Turns routing tables into figures and warns once of each layer that has collapsed.

    A layer has collapsed when all tasks together keep visiting no more experts than a single token
    does: its other experts are lost for good, as they get no gradient.
    """

    # Effective experts, as a multiple of a token's visits, up to which a layer counts as collapsed.
    MARGIN = 1.1

    def __init__(self, tasks: Sequence[str], visits: dict[str, int]):
        """`visits` says how many experts a token visits in each layer, by the names of the routing
        tables."""
        self.tasks, self.visits = tasks, visits
        self.alarm = _Alarm(visits)

    def watch(self, step: int, tables: Tables) -> dict[str, float]:
        """Figures of one optimizer step, by name; warn where a layer has been collapsed for long
        enough."""
        figures = {}
        for name, table in tables.items():
            of_layer = layer_figures(table, self.tasks)
            figures |= {f"{name}/{key}": value for key, value in of_layer.items()}

            num_experts, visits = table.count_GE.shape[1], self.visits[name]
            effective = of_layer["effective_experts"]
            collapsed = num_experts > visits and effective <= self.MARGIN * visits
            if self.alarm.goes_off(name, bad=collapsed):
                warnings.warn(
                    f"routing of {name} has collapsed: for {PATIENCE} steps up to step {step} all "
                    f"tasks together visited {effective:.1f} of {num_experts} experts. Raise the "
                    "weight of moe.balance or the noise of moe.router, or lower optim.lr.",
                    stacklevel=2,
                )
        return figures


class CollapseMonitor:
    """Warns once when a self-supervised encoder answers the same whatever it hears.

    It watches figures that are near one in health: the spread of embeddings and of targets, and the
    share of labels in use.
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
        """Look at the figures of one step."""
        for name in self.LEAST.keys() & figures.keys():
            least = self.LEAST[name]
            if self.alarm.goes_off(name, bad=bool(figures[name] < least)):
                warnings.warn(
                    f"the encoder is collapsing: {name} has been {figures[name]:.3f}, below {least}, "
                    f"for {PATIENCE} steps up to step {step}. Lower optim.lr, mask more "
                    "(masking.share), or choose another objective.kind.",
                    stacklevel=2,
                )
