"""The section `moe:` of a backbone, and the MoE layers that are made by it."""

from dataclasses import dataclass, field

from torch import nn

from aio_toolkit import parts
from aio_toolkit.config import Choice, one_of
from aio_toolkit.errors import AioError
from aio_toolkit.moe.balances.base import Balance
from aio_toolkit.moe.experts.base import Experts, Place
from aio_toolkit.moe.layer import MoELayer
from aio_toolkit.moe.routers.base import Router, RouterSizes
from aio_toolkit.ranges import bounded


class MoEAttention:
    """An MoE layer in place of attention: a `MoELayer` like any other, with defaults of its own.

    >>> MoEAttention.Config().experts.kind
    'attention_heads'
    """

    @dataclass
    class Config(MoELayer.Config):
        """Heads of attention as experts.

        Attributes:
            layers: blocks whose attention is a mixture of heads, counted from 0; none by default.
            num_experts: heads.
            top_k: heads that each frame visits.
            experts: what frames visit.
        """

        layers: list[int] | None = field(default_factory=list)
        num_experts: int = bounded(8, least=1)
        top_k: int = bounded(4, least=1, up_to="num_experts")
        experts: Choice = one_of("moe/experts", "attention_heads")


class MoE:
    """Makes the MoE layers of a backbone, whose other layers are dense.

    >>> moe = MoE(MoE.Config(), width=8, num_layers=4, num_tasks=6)
    >>> [block for block in range(4) if moe.layer("feed_forward", block) is not None]
    [1, 3]
    >>> moe.layer("attention", 0) is None
    True
    """

    @dataclass
    class Config:
        """The experts of a backbone.

        Attributes:
            feed_forward: experts in place of feed-forward layers.
            attention: experts in place of attention.
            router: how experts are chosen, in either.
            balance: what keeps them in use.
        """

        feed_forward: MoELayer.Config = field(default_factory=MoELayer.Config)
        attention: MoEAttention.Config = field(default_factory=MoEAttention.Config)
        router: Choice = one_of("moe/routers", "per_task")
        balance: Choice = one_of("moe/balances", "mutual_information")

    def __init__(self, config: Config, width: int, num_layers: int, num_tasks: int):
        """Check which blocks are named.

        Raises:
            AioError: a block is named that the backbone does not have.
        """
        self.config = config
        self.width = width
        self.num_tasks = num_tasks
        self._sections: dict[Place, MoELayer.Config] = {
            "feed_forward": config.feed_forward,
            "attention": config.attention,
        }
        # Before any layer is made: a wrong number is to be told at once.
        self._blocks: dict[Place, list[int]] = {}
        for place, section in self._sections.items():
            key = f"moe.{place}.layers"
            self._blocks[place] = _named_blocks(section.layers, num_layers, key)

        # A table that no balance reads in full need not be filled in full.
        balance = parts.find(Balance, config.balance.kind)
        self._reads = balance.reads

    def layer(self, place: Place, block: int) -> nn.Module | None:
        """What takes the place of a block's dense layer; None where that stays.

        It is a `MoELayer`, or a dense one where the section asks for a single feed-forward expert.

        Raises:
            AioError: the experts belong elsewhere, or a number is out of its range.
        """
        if block not in self._blocks[place]:
            return None
        # Parts do not know where in a configuration they stand.
        try:
            return self._build(place)
        except AioError as error:
            raise AioError(f"moe.{place}: {error}") from None

    def _build(self, place: Place) -> nn.Module:
        section = self._sections[place]
        _check_place(section, place)
        if section.num_experts == 1:
            twin = self._dense_twin(section)
            if twin is not None:
                return twin

        sizes = RouterSizes(
            width=self.width,
            num_tasks=self.num_tasks,
            num_experts=section.num_experts,
            top_k=section.top_k,
        )
        # Router, then experts: they draw initial weights in this order.
        router = parts.build(Router, self.config.router, sizes)
        experts = parts.build(Experts, section.experts, self.width, section.num_experts)
        return MoELayer(section, sizes, router, experts, self._reads)

    def _dense_twin(self, section: MoELayer.Config) -> nn.Module | None:
        kind = parts.find(Experts, section.experts.kind)
        options = parts.options_of(Experts, section.experts)
        return kind.dense_twin(options, self.width)


def _named_blocks(layers: list[int] | None, num_layers: int, key: str) -> list[int]:
    if layers is None:
        # Every second block, the first one dense, as in M3ViT.
        return list(range(1, num_layers, 2))
    for layer in layers:
        if not 0 <= layer < num_layers:
            last = num_layers - 1
            raise AioError(f"{key} names block {layer}; the backbone has blocks 0 to {last}.")
    return layers


def _check_place(section: MoELayer.Config, place: Place) -> None:
    kind = section.experts.kind
    part = parts.find(Experts, kind)
    home = part.replaces
    # Feed-forward experts in place of attention would run, and leave the frames unmixed.
    if home != place:
        raise AioError(
            f"experts '{kind}' take the place of {home}. Put them into moe.{home}, "
            f"or choose another experts.kind here."
        )
    if place == "attention" and section.shared_width:
        raise AioError("shared_width is for feed-forward layers. Set it to 0 here.")
