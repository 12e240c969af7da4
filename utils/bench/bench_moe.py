"""The MoE layer against its dense equal, a loop over experts and Hugging Face's MoE block.

All numbers are ratios of medians of forward and backward in one run, the contestants taking turns;
in bfloat16 by autocast, or in float32 on a CPU that would have to emulate it. Sizes: 4,096 tokens
of width 256, 16 experts with an inner width of 256, four a token; the dense layer has 1,024.

Freed memory stays with the process. A lone layer would give all of its buffers back to the system
after every step and have them zeroed anew in the next, which a whole model in training does with a
small part of its own.
"""

import argparse
import ctypes
import statistics
import time
from typing import override

import torch
from torch import nn

from aio_toolkit.config import Choice
from aio_toolkit.layers import FeedForward
from aio_toolkit.moe.experts.feed_forward import FeedForwardExperts
from aio_toolkit.moe.layer import MoELayer
from aio_toolkit.moe.mixture import MoE
from aio_toolkit.moe.routers.base import RouterSizes
from aio_toolkit.moe.routers.per_task import PerTaskRouter
from aio_toolkit.precision import multiplies_bfloat16

WIDTH, DENSE_WIDTH, EXPERTS, TOP_K, TASKS = 256, 1024, 16, 4, 6
ROWS, WARM_UP = 32, 3


def main() -> None:
    """Print one line per comparison."""
    args = build_parser().parse_args()
    args.precision = args.precision or default_precision(args.device)
    keep_freed_memory()
    torch.manual_seed(0)

    contestants = {
        "ours": ours(EXPERTS),
        "dense": FeedForward(WIDTH, DENSE_WIDTH),
        "loop": LoopExperts(),
        **hugging_face(args.precision),
    }
    seconds = race(contestants, args)
    against_dense = seconds["ours"] / seconds["dense"]
    line = (
        f"MoE layer, {EXPERTS} experts top {TOP_K}, {args.tokens} tokens, {args.device}, "
        f"{args.precision}: {against_dense:.2f} times the dense layer of equal active size; "
    )
    others = [
        f"{seconds[name] / seconds['ours']:.2f} times faster than {name}"
        for name in list(seconds)[2:]
    ]
    print(line + ", ".join(others), flush=True)

    seconds = race({"4": ours(4), "64": ours(64)}, args)
    growth = seconds["64"] / seconds["4"]
    print(f"4 to 64 experts at the same top {TOP_K}: {growth:.2f} times the step", flush=True)


def build_parser() -> argparse.ArgumentParser:
    """Options of the bench."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--tokens", type=int, default=4096, help="tokens in a step")
    parser.add_argument("--rounds", type=int, default=25, help="turns of each contestant")
    parser.add_argument("--device", default=device, help="cpu or cuda")
    parser.add_argument(
        "--precision",
        choices=["float32", "bfloat16"],
        help="default: bfloat16 where the device multiplies it",
    )
    return parser


def default_precision(device: str) -> str:
    """The precision that the device is fast in."""
    return "bfloat16" if multiplies_bfloat16(device) else "float32"


def keep_freed_memory() -> None:
    """Set glibc's thresholds for giving memory back to their greatest; other libraries have
    none."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        trim_threshold, mmap_threshold = -1, -3
        libc.mallopt(trim_threshold, 2**31 - 1)
        libc.mallopt(mmap_threshold, 32 * 2**20)


def ours(num_experts: int) -> nn.Module:
    """Router, experts and routing table, with per-task gates that have learnt to choose."""
    options = FeedForwardExperts.Config(ffn_width=DENSE_WIDTH // TOP_K)
    experts = Choice("feed_forward", options)
    section = MoELayer.Config(num_experts=num_experts, top_k=TOP_K, experts=experts)
    moe = MoE(MoE.Config(feed_forward=section), WIDTH, num_layers=2, num_tasks=TASKS)
    layer = moe.layer("feed_forward", 1)
    for gate_DE in layer.router.gates_DE:
        nn.init.normal_(gate_DE, std=0.1)
    return layer


class LoopExperts(nn.Module):
    """The same layer with a loop over experts, each picking its tokens."""

    def __init__(self) -> None:
        super().__init__()
        sizes = RouterSizes(WIDTH, TASKS, EXPERTS, TOP_K)
        self.router = PerTaskRouter(PerTaskRouter.Config(), sizes)
        self.experts = nn.ModuleList(
            FeedForward(WIDTH, DENSE_WIDTH // TOP_K) for _ in range(EXPERTS)
        )

    @override
    def forward(
        self, x_BTD: torch.Tensor, valid_BT: torch.Tensor, task_B: torch.Tensor
    ) -> torch.Tensor:
        routing = self.router(x_BTD, valid_BT, task_B)
        x_ND = x_BTD.flatten(0, 1)
        y_ND = torch.zeros_like(x_ND)
        for number, expert in enumerate(self.experts):
            visits_NK = (routing.expert_NK == number) & routing.active_NK
            token_M, choice_M = visits_NK.nonzero(as_tuple=True)
            weight_M1 = routing.weight_NK[token_M, choice_M, None]
            y_MD = expert(x_ND[token_M]) * weight_M1
            y_ND = y_ND.index_add(0, token_M, y_MD.to(y_ND.dtype))
        return y_ND.view_as(x_BTD)


def hugging_face(precision: str) -> dict[str, nn.Module]:
    """The Mixtral block at the same sizes; its gated experts have three matrices, ours have two.

    Autocast does not reach its grouped products; so in bfloat16 a block with such weights runs too.
    """
    settings = [("eager", torch.float32), ("grouped_mm", torch.float32)]
    if precision == "bfloat16":
        settings.append(("grouped_mm", torch.bfloat16))
    blocks = {}
    for implementation, dtype in settings:
        name = f"transformers ({implementation}, {str(dtype).removeprefix('torch.')})"
        blocks[name] = HuggingFaceLayer(implementation, dtype)
    return blocks


class HuggingFaceLayer(nn.Module):
    """Takes and gives what the others do."""

    def __init__(self, implementation: str, dtype: torch.dtype):
        from transformers import MixtralConfig
        from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock

        super().__init__()
        config = MixtralConfig(
            hidden_size=WIDTH,
            intermediate_size=DENSE_WIDTH // TOP_K,
            num_local_experts=EXPERTS,
            num_experts_per_tok=TOP_K,
        )
        config._experts_implementation = implementation
        self.block = MixtralSparseMoeBlock(config)
        for parameter in self.block.parameters():
            nn.init.normal_(parameter, std=0.05)
        self.block.to(dtype)

    @override
    def forward(
        self, x_BTD: torch.Tensor, valid_BT: torch.Tensor, task_B: torch.Tensor
    ) -> torch.Tensor:
        y = self.block(x_BTD.to(self.block.experts.gate_up_proj.dtype))
        return y[0] if isinstance(y, tuple) else y


def race(contestants: dict[str, nn.Module], args: argparse.Namespace) -> dict[str, float]:
    """Median seconds of each contestant's forward and backward pass; they take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for layer in contestants.values():
        layer.to(args.device).train()
    for turn in range(WARM_UP + args.rounds):
        for name, layer in contestants.items():
            took = time_step(layer, args)
            if turn >= WARM_UP:
                seconds[name].append(took)
    return {name: statistics.median(times) for name, times in seconds.items()}


def time_step(layer: nn.Module, args: argparse.Namespace) -> float:
    """Seconds of one forward and backward pass."""
    device, is_mixed = args.device, args.precision == "bfloat16"
    valid_BT = torch.ones(ROWS, args.tokens // ROWS, dtype=torch.bool, device=device)
    task_B = torch.arange(ROWS, device=device) % TASKS
    x_BTD = torch.randn(*valid_BT.shape, WIDTH, device=device, requires_grad=True)
    layer.zero_grad()

    start = now(device)
    with torch.autocast(device, torch.bfloat16, enabled=is_mixed):
        y = layer(x_BTD) if isinstance(layer, FeedForward) else layer(x_BTD, valid_BT, task_B)
    y = y[0] if isinstance(y, tuple) else y
    y.float().square().mean().backward()
    return now(device) - start


def now(device: str) -> float:
    """Seconds, when the device has done its work."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    main()
