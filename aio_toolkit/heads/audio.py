"""Audio: one query per source, from whose frames paths lead to codec codes. Letters: see
`heads.base`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, override

import torch
from torch import nn

from aio_toolkit import parts
from aio_toolkit.answers.audio import CodecUnits, Match, all_sources
from aio_toolkit.config import Choice, each_of
from aio_toolkit.errors import AioError
from aio_toolkit.frontend.features import split_features
from aio_toolkit.heads.base import Frames, Head
from aio_toolkit.heads.paths.base import CodePath, SourceFrames
from aio_toolkit.heads.permutation import best_order
from aio_toolkit.layers import valid_frames
from aio_toolkit.loss import Loss
from aio_toolkit.tasks import Task


class AudioHead(Head):
    """Frames of every source of every audio task, and the paths from there to codes.

    1. A query, a linear layer of its own, makes each source's frames of the backbone's.
    2. A network that all sources share refines them.
    3. Every path with a weight learns to turn them into codes; where estimates meet references by
       the best permutation, the path `permutation_by` finds it for all of them.
    """

    @dataclass
    class Config:
        """Size of the audio head, and its paths.

        Attributes:
            width: width of a source's frames.
            permutation_by: the path whose costs decide which estimate is which source.
            paths: options of the paths, `heads/paths/*.py`; one of weight 0 is left out.
        """

        width: int = 256
        permutation_by: str = "latent"
        paths: dict[str, Any] = each_of("heads/paths")

    def __init__(self, config: Config, width: int, tasks: Sequence[Task], units: CodecUnits):
        super().__init__(config, width, tasks, units)
        self.latent_dim = units.embedding_QVC.shape[-1]
        names = [name for task in tasks for name in _query_names(task)]
        self.queries = nn.ModuleDict({name: nn.Linear(width, config.width) for name in names})
        self.norm = nn.LayerNorm(config.width)
        self.mlp = nn.Sequential(
            nn.Linear(config.width, 2 * config.width),
            nn.GELU(),
            nn.Linear(2 * config.width, config.width),
        )
        self.paths = nn.ModuleDict(_build_paths(config, units))
        if config.permutation_by not in self.paths:
            raise AioError(
                f"heads.audio.permutation_by: there is no path '{config.permutation_by}' with a weight. "
                f"Choose one of: {', '.join(self.paths)}."
            )
        self.permutation_by = config.permutation_by

    @override
    def keep(self, task: Task) -> None:
        self.queries = nn.ModuleDict({name: self.queries[name] for name in _query_names(task)})

    @override
    def add_task(self, task: Task) -> list[nn.Parameter]:
        first = next(iter(self.queries.values()))
        names = _query_names(task)
        self.queries.update({n: nn.Linear(first.in_features, first.out_features) for n in names})
        return [parameter for n in names for parameter in self.queries[n].parameters()]

    @override
    def loss(self, frames: Frames, target: torch.Tensor) -> Loss:
        """Weighted sum of the paths' losses; `target` (B, N, T, Q) is padded with -1."""
        target_BNTQ = target.clamp_min(0)
        sources = self.split(frames)
        if frames.task.options.match == Match.permutation:
            costs_BNN = self.paths[self.permutation_by].costs(sources, target_BNTQ)
            order_BN = best_order(costs_BNN)
            row_B1 = torch.arange(len(order_BN), device=order_BN.device)[:, None]
            target_BNTQ = target_BNTQ[row_B1, order_BN]

        losses = {name: path.loss(sources, target_BNTQ) for name, path in self.paths.items()}
        total = sum(self.paths[name].weight * loss.total for name, loss in losses.items())
        figures = {key: value for loss in losses.values() for key, value in loss.figures.items()}
        return Loss(total, figures)

    def split(self, frames: Frames) -> SourceFrames:
        """The frames (B, N, T, D') of each source, and what else paths read."""
        queries = [self.queries[name] for name in _query_names(frames.task)]
        g_BNTD = torch.stack([query(frames.h_BTD) for query in queries], 1)
        g_BNTD = g_BNTD + self.mlp(self.norm(g_BNTD))

        valid_BT = valid_frames(frames.lengths_B, frames.h_BTD.shape[1])
        _, latents_BTC = split_features(frames.feats_BTF, self.latent_dim)
        mixture_BTC = latents_BTC * valid_BT[..., None]
        return SourceFrames(g_BNTD, mixture_BTC, valid_BT)

    def path_of_mode(self, mode: str) -> CodePath:
        """The path that answers a mode of decoding; AioError names the modes there are."""
        modes = {m: path for path in self.paths.values() for m in path.modes}
        if mode not in modes:
            raise AioError(f"unknown audio.mode '{mode}'. Choose one of: {', '.join(modes)}.")
        return modes[mode]


def _query_names(task: Task) -> list[str]:
    return [f"{task.name}_{source}" for source in all_sources(task)]


def _build_paths(config: AudioHead.Config, units: CodecUnits) -> dict[str, CodePath]:
    built = {}
    for kind in parts.kinds("heads/paths"):
        choice = Choice(kind, config.paths.get(kind))
        if parts.options_of(CodePath, choice).weight:
            built[kind] = parts.build(CodePath, choice, config.width, units)
    return built
