"""Several front ends side by side, normalised. Letters: see `frontend.base`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import nn

from aio_toolkit import parts
from aio_toolkit.config import Choice, each_of
from aio_toolkit.errors import AioError
from aio_toolkit.frames import FrameGrid
from aio_toolkit.frontend.base import FrontEnd

# A bin that never moves (a mel band above the data's bandwidth) must not be blown up.
LEAST_DEVIATION = 1e-3
# Features by the name of the front end that they are of.
Features = dict[str, torch.Tensor]


class FrontEndStack(nn.Module):
    """Features of all parts, each bin with zero mean and the part's scale over the training data.

    Attributes:
        parts: the front ends by name, in the order of their bins.
        num_features: bins of all.
        mean_F: mean of each bin over the training data.
        std_F: its standard deviation, divided by the scale of its part.

    >>> stack = FrontEndStack(FrontEndStack.Config(["log_mel", "stft"]), FrameGrid(16000, 320))
    >>> features = stack.extract(torch.randn(1, 900), torch.tensor([900]))
    >>> list(features), stack(features).shape
    (['log_mel', 'stft'], torch.Size([1, 3, 1188]))
    >>> stack.bins(["stft"])[:2]
    [160, 161]
    """

    mean_F: torch.Tensor
    std_F: torch.Tensor

    @dataclass
    class Config:
        """Which front ends, and their options.

        Attributes:
            parts: front ends, `frontend/*.py`.
            options: options of front ends, whether they are among `parts` or not.
        """

        parts: list[str] = field(default_factory=list)
        options: dict[str, Any] = each_of("frontend")

    def __init__(self, config: Config, grid: FrameGrid):
        """Make the parts; the statistics are to be filled in by `fit`.

        Raises:
            AioError: an unknown part, one that is named twice, or one that does not fit the grid.
        """
        super().__init__()
        self.grid = grid
        self.parts = nn.ModuleDict()
        self.scales: dict[str, float] = {}
        for kind in config.parts:
            if kind in self.parts:
                raise AioError(f"front_end.parts names '{kind}' twice. Name it once.")
            choice = Choice(kind, config.options.get(kind))
            self.scales[kind] = parts.options_of(FrontEnd, choice).scale
            self.parts[kind] = parts.build(FrontEnd, choice, grid)
        self.num_features = sum(self.sizes().values())
        self.register_buffer("mean_F", torch.zeros(self.num_features))
        self.register_buffer("std_F", torch.ones(self.num_features))

    def sizes(self) -> dict[str, int]:
        """Bins of each part."""
        parts_by_kind = cast(Mapping[str, FrontEnd], self.parts)
        return {kind: part.num_features for kind, part in parts_by_kind.items()}

    def bins(self, kinds: Iterable[str]) -> list[int]:
        """Indices of the bins of some parts.

        Raises:
            AioError: one of them is not there.
        """
        first, places = 0, {}
        for kind, size in self.sizes().items():
            places[kind] = range(first, first + size)
            first += size
        found: list[int] = []
        for kind in kinds:
            if kind not in places:
                known = ", ".join(places) or "none"
                raise AioError(f"there is no front end '{kind}' here. Parts: {known}.")
            found += places[kind]
        return found

    def extract(self, wave_BS: torch.Tensor, samples_B: torch.Tensor) -> Features:
        """Features (B, T, F) of each part as they are, zero on padding."""
        return {kind: part(wave_BS, samples_B) for kind, part in self.parts.items()}

    def forward(self, features: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """All features side by side (B, T, F), normalised."""
        together_BTF = torch.cat([features[kind] for kind in self.parts], dim=-1)
        return (together_BTF - self.mean_F) / self.std_F

    def fit(self, batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> None:
        """Take the statistics of the real frames of batches of waves and their real samples."""
        device = self.mean_F.device
        count = 0
        # In float64: a sum of squares over hours has few digits left in float32.
        sum_F = torch.zeros(self.num_features, dtype=torch.float64, device=device)
        square_F = torch.zeros_like(sum_F)
        for wave_BS, samples_B in batches:
            features = self.extract(wave_BS.to(device), samples_B.to(device))
            together_BTF = torch.cat(list(features.values()), dim=-1)
            # Frames of padding are zero and add nothing.
            frames_NF = together_BTF.flatten(0, 1).double()
            sum_F += frames_NF.sum(0)
            square_F += frames_NF.square().sum(0)
            count += sum(self.grid.num_frames(samples) for samples in samples_B.tolist())
        mean_F = sum_F / count
        variance_F = (square_F / count - mean_F.square()).clamp_min(0)
        std_F = variance_F.sqrt().clamp_min(LEAST_DEVIATION)
        sizes = self.sizes()
        scale_F = torch.cat([torch.full((sizes[kind],), self.scales[kind]) for kind in sizes])
        self.mean_F.copy_(mean_F)
        self.std_F.copy_(std_F / scale_F.to(device))
