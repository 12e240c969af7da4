"""The MoE layer against its dense equal, a loop over experts and the MoE block of Hugging Face transformers.

All numbers are ratios of medians of forward and backward in one run, the contestants taking turns; in bfloat16 by
autocast, or in float32 on a CPU that would have to emulate it. Sizes: 4,096 tokens of width 256, 16 experts of hidden
width 256, four a token; the dense layer has 1,024.

Freed memory stays with the process. A lone layer would give all of its buffers back to the system after every step and
have them zeroed anew in the next, which a whole model in training does with a small part of its own.
"""

import argparse
import ctypes
import statistics
import time
from typing import override

import torch
from torch import nn

from aio_toolkit.encoders.layers import FeedForward
from aio_toolkit.moe.layer import MoEConfig, MoEFeedForward
from aio_toolkit.moe.router import RouterConfig, build_router
from aio_toolkit.precision import multiplies_bfloat16

WIDTH, HIDDEN, EXPERTS, TOP_K, TASKS = 256, 1024, 16, 4, 6


def main() -> None:
    """Print one line per comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--tokens", type=int, default=4096, help="tokens in a step")
    parser.add_argument("--rounds", type=int, default=25, help="turns of each contestant")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu or cuda")
    parser.add_argument(
        "--precision", choices=["float32", "bfloat16"], help="default: bfloat16 where the device multiplies it"
    )
    args = parser.parse_args()
    args.precision = args.precision or ("bfloat16" if multiplies_bfloat16(args.device) else "float32")
    keep_freed_memory()
    torch.manual_seed(0)
    contestants = {
        "ours": ours(EXPERTS),
        "dense": FeedForward(WIDTH, HIDDEN),
        "loop": LoopExperts(),
        **hugging_face(args.precision),
    }
    seconds = race(contestants, args)
    line = f"MoE layer, {EXPERTS} experts top {TOP_K}, {args.tokens} tokens, {args.device}, {args.precision}: "
    line += f"{seconds['ours'] / seconds['dense']:.2f} times the dense layer of equal active size; "
    others = [f"{seconds[name] / seconds['ours']:.2f} times faster than {name}" for name in list(seconds)[2:]]
    print(line + ", ".join(others), flush=True)
    seconds = race({"4": ours(4), "64": ours(64)}, args)
    print(f"4 to 64 experts at the same top {TOP_K}: {seconds['64'] / seconds['4']:.2f} times the step", flush=True)


def keep_freed_memory() -> None:
    """Set glibc's thresholds for giving memory back to their greatest; other C libraries stay as they are."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        trim_threshold, mmap_threshold = -1, -3
        libc.mallopt(trim_threshold, 2**31 - 1)
        libc.mallopt(mmap_threshold, 32 * 2**20)


def ours(num_experts: int) -> nn.Module:
    """Router, experts and routing table, with per-task gates that have learnt to choose."""
    layer = MoEFeedForward(WIDTH, TASKS, MoEConfig(num_experts=num_experts, top_k=TOP_K, expert_hidden=HIDDEN // TOP_K))
    for gate_DE in layer.router.gates_DE:
        nn.init.normal_(gate_DE, std=0.1)
    return layer


class LoopExperts(nn.Module):
    """The same layer with a loop over experts, each picking its tokens."""

    def __init__(self):
        super().__init__()
        self.router = build_router(WIDTH, TASKS, EXPERTS, TOP_K, RouterConfig())
        self.experts = nn.ModuleList(FeedForward(WIDTH, HIDDEN // TOP_K) for _ in range(EXPERTS))

    @override
    def forward(self, x_BTD: torch.Tensor, valid_BT: torch.Tensor, task_B: torch.Tensor) -> torch.Tensor:
        routing = self.router(x_BTD, task_B, valid_BT)
        x_ND = x_BTD.flatten(0, 1)
        y_ND = torch.zeros_like(x_ND)
        for number, expert in enumerate(self.experts):
            token_M, choice_M = ((routing.expert_NK == number) & routing.active_NK).nonzero(as_tuple=True)
            y_MD = expert(x_ND[token_M]) * routing.weight_NK[token_M, choice_M, None]
            y_ND = y_ND.index_add(0, token_M, y_MD.to(y_ND.dtype))
        return y_ND.view_as(x_BTD)


def hugging_face(precision: str) -> dict[str, nn.Module]:
    """The Mixtral block at the same sizes. Its experts are gated, so they have three matrices where ours have two.

    Autocast does not reach its grouped products, so for bfloat16 there is a block with such weights besides.
    """
    from transformers import MixtralConfig
    from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock

    blocks = {}
    settings = [("eager", torch.float32), ("grouped_mm", torch.float32)]
    if precision == "bfloat16":
        settings.append(("grouped_mm", torch.bfloat16))
    for implementation, dtype in settings:
        config = MixtralConfig(
            hidden_size=WIDTH,
            intermediate_size=HIDDEN // TOP_K,
            num_local_experts=EXPERTS,
            num_experts_per_tok=TOP_K,
        )
        config._experts_implementation = implementation
        block = MixtralSparseMoeBlock(config)
        for parameter in block.parameters():
            nn.init.normal_(parameter, std=0.05)
        name = f"transformers ({implementation}, {str(dtype).removeprefix('torch.')})"
        blocks[name] = HuggingFaceLayer(block.to(dtype))
    return blocks


class HuggingFaceLayer(nn.Module):
    """Takes and gives what the others do."""

    def __init__(self, block: nn.Module):
        super().__init__()
        self.block = block

    @override
    def forward(self, x_BTD: torch.Tensor, valid_BT: torch.Tensor, task_B: torch.Tensor) -> torch.Tensor:
        y = self.block(x_BTD.to(self.block.experts.gate_up_proj.dtype))
        return y[0] if isinstance(y, tuple) else y


def race(contestants: dict[str, nn.Module], args: argparse.Namespace) -> dict[str, float]:
    """Median seconds of each contestant's forward and backward pass; they take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    B = 32
    valid_BT = torch.ones(B, args.tokens // B, dtype=torch.bool, device=args.device)
    task_B = torch.arange(B, device=args.device) % TASKS
    for name in contestants:
        contestants[name].to(args.device).train()
    for turn in range(args.rounds + 3):
        for name, layer in contestants.items():
            x_BTD = torch.randn(*valid_BT.shape, WIDTH, device=args.device, requires_grad=True)
            layer.zero_grad()
            start = now(args.device)
            with torch.autocast(args.device, torch.bfloat16, enabled=args.precision == "bfloat16"):
                y = layer(x_BTD) if isinstance(layer, FeedForward) else layer(x_BTD, valid_BT, task_B)
            y = y[0] if isinstance(y, tuple) else y
            y.float().square().mean().backward()
            if turn >= 3:
                seconds[name].append(now(args.device) - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def now(device: str) -> float:
    """Seconds, when the device has done its work."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    main()
