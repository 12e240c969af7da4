"""What routers with a gate have in common: from logits of all experts to a few, with weights."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import override

import torch

from aio_toolkit.errors import AioError
from aio_toolkit.moe.base import Routing
from aio_toolkit.moe.routers.base import Router, RouterSizes
from aio_toolkit.ranges import bounded

# Standard deviation of the weights of a gate that starts without noise.
TIE_BREAKING = 0.02


class Gate(Router):
    """Scores all experts and takes the best: noisy top-k gating (Shazeer et al. 2017).

    Gates compute in float32 whatever the autocast type, because routing in half precision picks
    other experts than the reference. A subclass supplies `logits`, by a gate from `start`.

    >>> from aio_toolkit.moe.routers.shared import SharedRouter
    >>> router = SharedRouter(SharedRouter.Config(noise=0.0), RouterSizes(2, 1, 3, 2))
    >>> router.gate_DE.data = torch.tensor([[0.0, 2.0, 1.0], [0.0, 0.0, 0.0]])
    >>> one_token = torch.tensor([[[1.0, 0.0]]])
    >>> routing = router(one_token, torch.tensor([[True]]), torch.tensor([0]))
    >>> routing.expert_NK
    tensor([[1, 2]])
    >>> routing.weight_NK.detach()
    tensor([[0.7311, 0.2689]])
    """

    @dataclass
    class Config(Router.Config):
        """How a gate chooses.

        Attributes:
            noise: standard deviation of the noise on the logits in training, which breaks the ties
                of the start and lets close experts take turns (Shazeer et al. 2017, Eq. 4 with a
                constant scale).
            renormalise: make the weights of the chosen experts sum to one; otherwise they are the
                gate's probabilities.
            top_p: a token visits the fewest experts whose probabilities reach this sum, at most
                `top_k` of them (Huang et al. 2024, Eq. 5); null: always `top_k`.
        """

        noise: float = bounded(0.1, least=0)
        renormalise: bool = True
        top_p: float | None = bounded(None, above=0, most=1)

    def __init__(self, config: Config, sizes: RouterSizes):
        """Check the numbers.

        Raises:
            AioError: no gradient would reach the gate.
        """
        super().__init__(config, sizes)
        self.config = config
        if sizes.top_k == 1 < sizes.num_experts and config.renormalise:
            # The only weight would be one, whatever the gate says.
            raise AioError(
                "top_k 1 with the router's renormalise: true gives the gate no gradient from any "
                "task. Set renormalise: false."
            )

    def start(self, rows: int) -> torch.Tensor:
        """A gate (rows, E) as training begins: at zero, or all but so.

        Without noise nothing would break the ties of a gate at zero, and all tokens would visit the
        same experts.
        """
        gate_XE = torch.zeros(rows, self.num_experts)
        if self.config.noise > 0:
            return gate_XE
        return gate_XE.normal_(std=TIE_BREAKING)

    @abstractmethod
    def logits(self, x_BTD: torch.Tensor, task_B: torch.Tensor) -> torch.Tensor:
        """Logits (B, T, E) of every expert, from float32 frames."""

    @override
    def forward(self, x_BTD: torch.Tensor, valid_BT: torch.Tensor, task_B: torch.Tensor) -> Routing:
        """Route the frames of a padded batch, laid flat; those of padding go nowhere.

        1. Score every expert; in training, add noise.
        2. Choose the experts with the greatest sums of probability and bias.
        3. Weigh them by probability alone.
        4. With `top_p`, leave out choices once those before them reach the sum.
        5. With `renormalise`, make a token's weights sum to one.
        """
        with torch.autocast(x_BTD.device.type, enabled=False):
            # The layer that the frames come from may have run in half precision.
            logit_BTE = self.logits(x_BTD.float(), task_B)
            logit_NE = logit_BTE.flatten(0, 1)
            noise = self.config.noise if self.training else 0.0
            noisy_NE = _add_noise(logit_NE, noise)

            probability_NE = noisy_NE.softmax(-1)
            expert_NK = self._choose(probability_NE)
            weight_NK = probability_NE.gather(1, expert_NK)

            valid_N1 = valid_BT.flatten()[:, None]
            active_NK = valid_N1.expand_as(expert_NK)
            if self.config.top_p is not None:
                needed_NK = _reach(weight_NK, self.config.top_p)
                weight_NK = weight_NK * needed_NK
                active_NK = active_NK & needed_NK
            if self.config.renormalise:
                # A bias may choose experts whose probabilities all underflow to zero.
                sum_N1 = weight_NK.sum(-1, keepdim=True)
                weight_NK = weight_NK / sum_N1.clamp_min(torch.finfo(sum_N1.dtype).tiny)

            weight_NK = weight_NK * active_NK
            return Routing(expert_NK, weight_NK, active_NK, logit_NE, noisy_NE, noise)

    @torch.no_grad()
    def _choose(self, probability_NE: torch.Tensor) -> torch.Tensor:
        score_NE = probability_NE + self.bias_E
        return score_NE.topk(self.top_k, dim=-1).indices

    @property
    @override
    def survives_cut(self) -> bool:
        """Whether tokens that visit only kept experts are routed as before once others are gone.

        Probabilities among fewer experts are greater by a common factor. Renormalised weights do
        not notice it; raw weights, a fixed `top_p` and a bias added to probabilities do.
        """
        if not self.config.renormalise or self.config.top_p is not None:
            return False
        return not bool(self.bias_E.any())


def _add_noise(logit_NE: torch.Tensor, noise: float) -> torch.Tensor:
    # Without noise nothing is drawn: evaluation leaves the random generator alone.
    if noise <= 0:
        return logit_NE
    return logit_NE + noise * torch.randn_like(logit_NE)


@torch.no_grad()
def _reach(probability_NK: torch.Tensor, top_p: float) -> torch.Tensor:
    """Which choices (N, K) are needed to reach the sum `top_p`; the first always is."""
    before_NK = probability_NK.cumsum(1) - probability_NK
    return before_NK < top_p
