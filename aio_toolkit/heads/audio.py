"""Audio: one query per source, from whose frames paths lead to codec codes.

Letters: see `heads.base`; D' width of a source's frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast, override

import torch
from torch import nn

from aio_toolkit import parts
from aio_toolkit.answers.audio import CodecUnits, Match
from aio_toolkit.answers.sources import all_sources
from aio_toolkit.config import Choice, each_of
from aio_toolkit.errors import AioError
from aio_toolkit.frontend.features import split_features
from aio_toolkit.heads.base import Frames, Head
from aio_toolkit.heads.paths.base import CodePath, SourceFrames
from aio_toolkit.heads.permutation import best_order
from aio_toolkit.layers import valid_frames
from aio_toolkit.loss import Loss, weighted_sum
from aio_toolkit.tasks import Task


class AudioHead(Head):
    """Frames of every source of every audio task, and the paths from there to codes.

    1. A query, a linear layer of its own, makes each source's frames of the backbone's.
    2. A network that all sources share refines them.
    3. Every path with a weight learns to turn them into codes; where estimates meet references by
       the best permutation, the path `permutation_by` finds it for all of them.

    Attributes:
        queries: a layer for each source, by `<task>_<source>`.
        paths: the paths, by name.

    >>> from pathlib import Path
    >>> from aio_toolkit.codec.base import CodecFingerprint
    >>> from aio_toolkit.tasks import load_tasks
    >>> codec = CodecFingerprint("tiny", "0", 16000, 320, 2, 16, 4)
    >>> units = CodecUnits(codec, torch.randn(2, 16, 4), torch.zeros(2, dtype=torch.long))
    >>> enh = load_tasks(Path("egs/TEMPLATE/conf/tasks.yaml"))["enh"]
    >>> head = AudioHead(AudioHead.Config(width=8), 12, [enh], units)
    >>> list(head.queries), list(head.paths)
    (['enh_speech', 'enh_noise'], ['classes', 'latent'])
    >>> h_BTD, lengths_B = torch.randn(1, 5, 12), torch.tensor([5])
    >>> frames = Frames(h_BTD, lengths_B, feats_BTF=torch.randn(1, 5, 7), task=enh)
    >>> head.split(frames).g_BNTD.shape
    torch.Size([1, 2, 5, 8])
    >>> head.loss(frames, torch.randint(16, (1, 2, 5, 2))).total.shape
    torch.Size([])
    """

    @dataclass
    class Config:
        """Size of the audio head, and its paths.

        Attributes:
            width: width D' of a source's frames.
            permutation_by: the path whose costs decide which estimate is which source.
            paths: options of the paths, `heads/paths/*.py`; one of weight 0 is left out.
        """

        width: int = 256
        permutation_by: str = "latent"
        paths: dict[str, Any] = each_of("heads/paths")

    def __init__(self, config: Config, width: int, tasks: Sequence[Task], units: CodecUnits):
        """Make queries and paths.

        Raises:
            AioError: the path `permutation_by` is left out.
        """
        super().__init__(config, width, tasks, units)
        self.latent_dim = units.embedding_QVC.shape[-1]
        # Queries, refinement, paths: they draw initial weights in this order.
        self.queries = nn.ModuleDict()
        for task in tasks:
            for name in _query_names(task):
                self.queries[name] = nn.Linear(width, config.width)
        self.norm = nn.LayerNorm(config.width)
        self.mlp = nn.Sequential(
            nn.Linear(config.width, 2 * config.width),
            nn.GELU(),
            nn.Linear(2 * config.width, config.width),
        )
        self.paths = nn.ModuleDict(_build_paths(config, units))
        if config.permutation_by not in self.paths:
            problem = f"there is no path '{config.permutation_by}' with a weight"
            known = ", ".join(self.paths)
            raise AioError(f"heads.audio.permutation_by: {problem}. Choose one of: {known}.")
        self.permutation_by = config.permutation_by

    @override
    def keep(self, task: Task) -> None:
        """Throw away the queries of other tasks; all else is everybody's."""
        kept = {name: self.queries[name] for name in _query_names(task)}
        self.queries = nn.ModuleDict(kept)

    @override
    def add_task(self, task: Task) -> list[nn.Parameter]:
        """Make queries for the sources of one more task."""
        other = cast(nn.Linear, next(iter(self.queries.values())))
        own: list[nn.Parameter] = []
        for name in _query_names(task):
            query = nn.Linear(other.in_features, other.out_features)
            self.queries[name] = query
            own += query.parameters()
        return own

    @override
    def loss(self, frames: Frames, target: torch.Tensor) -> Loss:
        """Weighted sum of the paths' losses.

        Args:
            frames: of one task.
            target: codes (B, N, T, Q) of its sources, -1 on padding.
        """
        # Padding is looked up like all else, and then left out by the paths.
        target_BNTQ = target.clamp_min(0)
        sources = self.split(frames)
        if frames.task.options.match == Match.permutation:
            target_BNTQ = self._reorder(sources, target_BNTQ)
        losses = []
        for path in self._all_paths():
            loss = path.loss(sources, target_BNTQ)
            losses.append((path.weight, loss))
        return weighted_sum(losses)

    def split(self, frames: Frames) -> SourceFrames:
        """The frames (B, N, T, D') of each source, and what else paths read."""
        sources = []
        for name in _query_names(frames.task):
            g_BTD = self.queries[name](frames.h_BTD)
            sources.append(g_BTD)
        g_BNTD = torch.stack(sources, 1)
        normed_BNTD = self.norm(g_BNTD)
        g_BNTD = g_BNTD + self.mlp(normed_BNTD)

        T = frames.h_BTD.shape[1]
        valid_BT = valid_frames(frames.lengths_B, T)
        _, latents_BTC = split_features(frames.feats_BTF, self.latent_dim)
        mixture_BTC = latents_BTC * valid_BT[..., None]
        return SourceFrames(g_BNTD, mixture_BTC, valid_BT)

    def path_of_mode(self, mode: str) -> CodePath:
        """The path that answers a mode of decoding; AioError names the modes there are."""
        paths: dict[str, CodePath] = {}
        for path in self._all_paths():
            paths |= dict.fromkeys(path.modes, path)
        if mode not in paths:
            known = ", ".join(paths)
            raise AioError(f"unknown audio.mode '{mode}'. Choose one of: {known}.")
        return paths[mode]

    def _all_paths(self) -> list[CodePath]:
        return [cast(CodePath, path) for path in self.paths.values()]

    def _reorder(self, sources: SourceFrames, target_BNTQ: torch.Tensor) -> torch.Tensor:
        """The references in the order of the estimates that they are to be compared with."""
        judge = cast(CodePath, self.paths[self.permutation_by])
        cost_BNN = judge.costs(sources, target_BNTQ)
        order_BN = best_order(cost_BNN)
        row_B = torch.arange(len(order_BN), device=order_BN.device)
        row_B1 = row_B[:, None]
        return target_BNTQ[row_B1, order_BN]


def _query_names(task: Task) -> list[str]:
    return [f"{task.name}_{source}" for source in all_sources(task)]


def _build_paths(config: AudioHead.Config, units: CodecUnits) -> dict[str, CodePath]:
    built = {}
    for kind in parts.kinds("heads/paths"):
        choice = Choice(kind, config.paths.get(kind))
        options = parts.options_of(CodePath, choice)
        # Without a weight it would never be trained, and yet offer its modes to decoding.
        if options.weight:
            built[kind] = parts.build(CodePath, choice, config.width, units)
    return built
