"""The Muon optimizer (Jordan et al. 2024) for matrices and stacks of them, AdamW for the rest.

Letters: M matrices of one shape, A rows, B columns.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, override

import torch
from torch.optim.adamw import adamw

from aio_toolkit.precision import multiplies_bfloat16

# Odd polynomials of degree 5, (a, b, c) for a x + b x^3 + c x^5: each comes closest to one for the
# values that those before it make of 0.01 to 1 (Amsel et al. 2025, Polar Express). Three of them do
# what five rounds of Jordan's polynomial do: values from 0.01 on come out between 0.73 and 1.27.
POLYNOMIALS = (
    (8.0934, -23.6206, 17.4463),
    (3.6366, -2.7219, 0.5365),
    (2.6613, -1.9772, 0.4526),
)
MOMENTUM = 0.95
EPS = 1e-8
# Root mean square of an update of AdamW in common trainings (Liu et al. 2025, Moonlight): so scaled
# the two kinds of updates share a learning rate and weight decay.
UPDATE_RMS = 0.2


class Muon(torch.optim.Optimizer):
    """Steps along the orthogonal matrix that is nearest to the momentum.

    A gradient's few large singular values are those of what is loudest at the moment; here all
    directions of a matrix move alike, so tasks whose gradients are small are not drowned. torch's
    own Muon takes single matrices; experts are stacks of them, and here all of one shape are
    orthogonalised at once.

    Groups of parameters with `muon: False` are stepped by AdamW.

    >>> weight_MAB = torch.nn.Parameter(torch.zeros(2, 3, 4))
    >>> optimizer = Muon([{"params": [weight_MAB], "muon": True}], lr=1.0)
    >>> weight_MAB.grad = torch.randn(2, 3, 4)
    >>> optimizer.step()
    >>> round(weight_MAB.detach().square().mean().sqrt().item(), 1)
    0.2
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.98),
    ):
        """Take over groups of parameters.

        Args:
            groups: groups as all optimizers of torch take them, with `weight_decay`; those with
                `muon: True` hold matrices (..., A, B) alone.
            lr: learning rate of all.
            betas: decays of AdamW's moments.
        """
        defaults = {"lr": lr, "betas": betas, "weight_decay": 0.0, "muon": False}
        super().__init__(groups, defaults)

    @override
    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of all groups; parameters without a gradient stay."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            trained = [p for p in group["params"] if p.grad is not None]
            if group["muon"]:
                self._step_matrices(group, trained)
            elif trained:
                self._step_others(group, trained)
        return loss

    def _step_matrices(self, group: dict[str, Any], trained: list[torch.Tensor]) -> None:
        of_shape: dict[torch.Size, list[torch.Tensor]] = defaultdict(list)
        for parameter in trained:
            of_shape[parameter.shape[-2:]].append(parameter)
        for shape, alike in of_shape.items():
            stacks = [self._ahead(parameter).reshape(-1, *shape) for parameter in alike]
            step_MAB = orthogonalise(torch.cat(stacks))
            # An orthogonal matrix has a root mean square of one over the root of its longer side.
            rate = group["lr"] * UPDATE_RMS * math.sqrt(max(shape))
            steps = step_MAB.split([len(stack) for stack in stacks])
            for parameter, of_parameter in zip(alike, steps, strict=True):
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.sub_(of_parameter.view_as(parameter), alpha=rate)

    def _ahead(self, parameter: torch.Tensor) -> torch.Tensor:
        """The gradient's running mean, looked ahead by a step as Nesterov does.

        Zero where the gradient is: an expert that nobody visited would else go on at full length
        along what is left of its momentum.
        """
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        gradient: torch.Tensor = parameter.grad  # type: ignore[assignment]
        state["momentum"].lerp_(gradient, 1 - MOMENTUM)
        ahead = torch.lerp(gradient, state["momentum"], MOMENTUM).to(_dtype(gradient))
        is_visited = gradient.abs().amax(dim=(-2, -1), keepdim=True) > 0
        return ahead * is_visited

    def _step_others(self, group: dict[str, Any], trained: list[torch.Tensor]) -> None:
        for parameter in trained:
            if not self.state[parameter]:
                self.state[parameter] = {
                    "step": torch.zeros((), device=parameter.device),
                    "mean": torch.zeros_like(parameter),
                    "square": torch.zeros_like(parameter),
                }
        states = [self.state[parameter] for parameter in trained]
        beta1, beta2 = group["betas"]
        adamw(
            trained,
            [parameter.grad for parameter in trained],  # type: ignore[misc]
            [state["mean"] for state in states],
            [state["square"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=EPS,
            maximize=False,
        )


def orthogonalise(x_MAB: torch.Tensor) -> torch.Tensor:
    """Matrices with the same singular vectors and all singular values near one.

    By iterated polynomials of the matrix, in the type of the matrices. Zero stays zero.

    >>> x_MAB = torch.diag(torch.tensor([3.0, 0.3]))[None]
    >>> value_M = torch.linalg.svdvals(orthogonalise(x_MAB)[0])
    >>> bool((value_M > 0.7).all() and (value_M < 1.3).all())
    True
    """
    is_tall = x_MAB.shape[1] > x_MAB.shape[2]
    # The products below are of the shorter side.
    y_MAB = x_MAB.mT if is_tall else x_MAB
    # The Frobenius norm is no less than the greatest singular value.
    norm_M11 = y_MAB.norm(dim=(-2, -1), keepdim=True)
    y_MAB = y_MAB / (norm_M11 + EPS)

    for a, b, c in POLYNOMIALS:
        gram_MAA = y_MAB @ y_MAB.mT
        square_MAA = torch.baddbmm(gram_MAA, gram_MAA, gram_MAA, beta=b, alpha=c)
        y_MAB = torch.baddbmm(y_MAB, square_MAA, y_MAB, beta=a)
    return y_MAB.mT if is_tall else y_MAB


def _dtype(x: torch.Tensor) -> torch.dtype:
    """bfloat16 where the device multiplies it; the steps need no more."""
    return torch.bfloat16 if multiplies_bfloat16(x.device.type) else torch.float32
