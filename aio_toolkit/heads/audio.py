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
from aio_toolkit.answers.audio_target import AudioTargets
from aio_toolkit.answers.sources import all_sources
from aio_toolkit.config import Choice, each_of
from aio_toolkit.errors import AioError
from aio_toolkit.heads.base import Frames, Head
from aio_toolkit.heads.paths.base import CodePath, References, SourceFrames
from aio_toolkit.heads.permutation import best_order
from aio_toolkit.layers import zero_with_gradient
from aio_toolkit.loss import Loss, weighted_sum
from aio_toolkit.ranges import bounded
from aio_toolkit.tasks import Task


class AudioHead(Head):
    """Frames of every source of every audio task, and the paths from there to codes.

    1. A query, a linear layer of its own, makes each source's frames of the backbone's.
    2. A network that all sources share refines them.
    3. Every path with a weight learns to turn them into waves or codes; where estimates meet
       references by the best permutation, the path `permutation_by` finds it for all of them.

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
    (['enh_speech', 'enh_noise'], ['mask'])
    >>> waves = torch.randn(1, 1600), torch.tensor([1600])
    >>> frames = Frames(torch.randn(1, 5, 12), torch.tensor([5]), enh, *waves)
    >>> head.split(frames).g_BNTD.shape
    torch.Size([1, 2, 5, 8])
    >>> head.loss(frames, AudioTargets(torch.randn(1, 1, 1600))).total.shape
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

        width: int = bounded(256, least=1)
        permutation_by: str = "mask"
        paths: dict[str, Any] = each_of("heads/paths")

    def __init__(self, config: Config, width: int, tasks: Sequence[Task], units: CodecUnits):
        """Make queries and paths.

        Raises:
            AioError: the path `permutation_by` is left out.
        """
        super().__init__(config, width, tasks, units)
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

    @property
    @override
    def reads(self) -> frozenset[str]:
        """What its paths read."""
        return frozenset(kind for path in self._all_paths() for kind in path.reads)

    @classmethod
    @override
    def wanted(cls, config: Config) -> frozenset[str]:
        """Codes, if a path with a weight learns from them."""
        for kind in _with_weight(config):
            if parts.find(CodePath, kind).learns_from_codes:
                return frozenset({"codes"})
        return frozenset()

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
    def loss(self, frames: Frames, target: AudioTargets) -> Loss:
        """Weighted sum of the paths' losses.

        Rows without codes, which mixtures made on the fly are, take no part in the loss of paths
        that learn from codes; the figure `rows_without_codes` tells their share.
        """
        sources = self.split(frames)
        references = _references(frames, target)
        if frames.task.options.match == Match.permutation:
            references = self._reorder(sources, references, len(frames.task.targets))
        losses = []
        for path in self._all_paths():
            if path.learns_from_codes:
                loss = _loss_of_coded(path, sources, references, target)
            else:
                loss = path.loss(sources, references)
            losses.append((path.weight, loss))
        return weighted_sum(losses)

    def split(self, frames: Frames) -> SourceFrames:
        """The frames (B, N, T, D') of each source, and the mixture."""
        sources = []
        for name in _query_names(frames.task):
            g_BTD = self.queries[name](frames.h_BTD)
            sources.append(g_BTD)
        g_BNTD = torch.stack(sources, 1)
        normed_BNTD = self.norm(g_BNTD)
        g_BNTD = g_BNTD + self.mlp(normed_BNTD)
        return SourceFrames(
            g_BNTD, frames.lengths_B, frames.wave_BS, frames.samples_B, frames.features
        )

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

    def _reorder(
        self, sources: SourceFrames, references: References, num_targets: int
    ) -> References:
        """The references in the order of the estimates that they are to be compared with.

        Targets alone are equals: the residual has a query of its own.
        """
        judge = cast(CodePath, self.paths[self.permutation_by])
        if judge.learns_from_codes and references.codes_BNTQ is None:
            # It cannot judge, and nothing is learnt from these rows by the paths of codes.
            return references
        cost_BNN = judge.costs(sources, references)
        order_BN = best_order(cost_BNN[:, :num_targets, :num_targets])
        num_others = sources.num_sources - num_targets
        others_N = torch.arange(num_targets, num_targets + num_others, device=order_BN.device)
        others_BN = others_N.expand(len(order_BN), -1)
        return references.reorder(torch.cat([order_BN, others_BN], 1))


def _references(frames: Frames, target: AudioTargets) -> References:
    """The true sources; what the mixture holds besides its targets is the residual."""
    wave_BNS = target.wave_BNS
    if frames.task.options.residual is not None:
        residual_BS = frames.wave_BS - wave_BNS.sum(1)
        wave_BNS = torch.cat([wave_BNS, residual_BS[:, None]], 1)
    codes_BNTQ = target.codes_BNTQ
    # Padding is looked up like all else, and then left out by the paths.
    return References(wave_BNS, None if codes_BNTQ is None else codes_BNTQ.clamp_min(0))


def _loss_of_coded(
    path: CodePath, sources: SourceFrames, references: References, target: AudioTargets
) -> Loss:
    """The loss of a path that learns from codes, on the rows that have them."""
    if target.codes_BNTQ is None:
        return Loss(zero_with_gradient(path), {"rows_without_codes": torch.tensor(1.0)})
    # The first code of the first source stands for all.
    coded_B = target.codes_BNTQ[:, 0, 0, 0] >= 0
    if coded_B.all():
        return path.loss(sources, references)
    rows_b = coded_B.nonzero()[:, 0]
    loss = path.loss(sources.select(rows_b), references.select(rows_b))
    without = 1 - coded_B.float().mean()
    return Loss(loss.total, {**loss.figures, "rows_without_codes": without})


def _query_names(task: Task) -> list[str]:
    return [f"{task.name}_{source}" for source in all_sources(task)]


def _with_weight(config: AudioHead.Config) -> dict[str, CodePath.Config]:
    """Options of the paths that are trained."""
    trained = {}
    for kind in parts.kinds("heads/paths"):
        options = parts.options_of(CodePath, Choice(kind, config.paths.get(kind)))
        # Without a weight it would never be trained, and yet offer its modes to decoding.
        if options.weight:
            trained[kind] = options
    return trained


def _build_paths(config: AudioHead.Config, units: CodecUnits) -> dict[str, CodePath]:
    built = {}
    for kind, options in _with_weight(config).items():
        built[kind] = parts.build(CodePath, Choice(kind, options), config.width, units)
    return built
