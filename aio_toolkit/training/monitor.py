"""Watches every step for collapse: of routing, where experts are lost, and of representations, where frames are."""

import warnings
from collections.abc import Sequence

import torch

from aio_toolkit.analysis.routing import layer_figures
from aio_toolkit.moe.base import Tables


class RoutingMonitor:
    """Turns routing tables into figures and warns once of each layer that has collapsed.

    A layer has collapsed when all tasks together keep visiting no more experts than a single token does: its other
    experts are lost for good, as they get no gradient.
    """

    # Steps in a row that a layer must look collapsed for: routing may start so and recover.
    PATIENCE = 20
    MARGIN = 1.1

    def __init__(self, tasks: Sequence[str], visits: dict[str, int]):
        """`visits` says how many experts a token visits in each layer, by the names of the routing tables."""
        self.tasks, self.visits = tasks, visits
        self.bad_steps = dict.fromkeys(visits, 0)

    def watch(self, step: int, tables: Tables) -> dict[str, float]:
        """Figures of one optimiser step, by name; warn where a layer has just been collapsed for long enough."""
        figures = {}
        for name, table in tables.items():
            of_layer = layer_figures(table, self.tasks)
            figures |= {f"{name}/{key}": value for key, value in of_layer.items()}
            num_experts, visits = table.count_GE.shape[1], self.visits[name]
            collapsed = num_experts > visits and of_layer["effective_experts"] <= self.MARGIN * visits
            self.bad_steps[name] = self.bad_steps[name] + 1 if collapsed else 0
            if self.bad_steps[name] == self.PATIENCE:
                warnings.warn(
                    f"routing of {name} has collapsed: for {self.PATIENCE} steps up to step {step} all tasks together "
                    f"visited {of_layer['effective_experts']:.1f} of {num_experts} experts. Raise moe.balance.weight "
                    "or moe.router.noise, or lower optim.lr.",
                    stacklevel=2,
                )
        return figures


class CollapseMonitor:
    """Warns once when a self-supervised encoder answers the same whatever it hears.

    It watches figures that are near one in health: the spread of embeddings and of targets, and the share of labels
    in use.
    """

    PATIENCE = 20
    LEAST = {"embedding_std": 0.05, "target_std": 0.05, "prediction_std": 0.01, "label_usage": 0.1}

    def __init__(self):
        self.bad_steps = dict.fromkeys(self.LEAST, 0)

    def watch(self, step: int, figures: dict[str, torch.Tensor]) -> None:
        """Look at the figures of one step."""
        for name in self.LEAST.keys() & figures.keys():
            collapsed = figures[name] < self.LEAST[name]
            self.bad_steps[name] = self.bad_steps[name] + 1 if collapsed else 0
            if self.bad_steps[name] == self.PATIENCE:
                warnings.warn(
                    f"the encoder is collapsing: {name} has been {figures[name]:.3f}, below {self.LEAST[name]}, for "
                    f"{self.PATIENCE} steps up to step {step}. Lower optim.lr, hide more (objective.mask_share), or "
                    "choose another objective.kind.",
                    stacklevel=2,
                )
