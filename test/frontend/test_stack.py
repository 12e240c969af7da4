"""Front ends side by side, and the statistics that normalise them."""

import numpy as np
import pytest
import torch

from aio_toolkit.config import from_values
from aio_toolkit.errors import AioError
from aio_toolkit.frames import FrameGrid
from aio_toolkit.frontend.stack import FrontEndStack

GRID = FrameGrid(16000, 320)
MELS = {"num_mels": 3, "subframes": 1}
SPECTRUM = {"window": 1.1, "phase": False}


def stack_of(*parts: str, grid: FrameGrid = GRID, **options) -> FrontEndStack:
    """Three mel bands, or magnitudes, or both."""
    sections = {"log_mel": MELS | options.get("log_mel", {})}
    sections["stft"] = SPECTRUM | options.get("stft", {})
    values = {"parts": list(parts), "options": sections}
    return FrontEndStack(from_values(FrontEndStack.Config, values, "test"), grid)


def batches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Two batches, the first with padding that ends within a frame."""
    torch.manual_seed(0)
    first_BS = torch.randn(2, 2000) * torch.linspace(0.1, 1, 2000)
    first_BS[1, 700:] = 0
    return [
        (first_BS, torch.tensor([2000, 700])),
        (torch.randn(1, 999), torch.tensor([999])),
    ]


def real_frames(stack: FrontEndStack) -> np.ndarray:
    """Features (N, F) of the real frames of all batches, before they are normalised."""
    frames = []
    for wave_BS, samples_B in batches():
        together_BTF = torch.cat(list(stack.extract(wave_BS, samples_B).values()), -1)
        for row, samples in enumerate(samples_B.tolist()):
            frames.append(together_BTF[row, : GRID.num_frames(samples)])
    return torch.cat(frames).double().numpy()


@pytest.mark.parametrize("parts", [("log_mel",), ("log_mel", "stft"), ("stft", "log_mel")])
def test_each_bin_has_the_mean_and_deviation_of_the_real_frames(parts):
    stack = stack_of(*parts)
    stack.fit(batches())
    frames_NF = real_frames(stack)
    np.testing.assert_allclose(stack.mean_F.numpy(), frames_NF.mean(0), rtol=1e-4, atol=1e-4)
    deviation_F = frames_NF.std(0).clip(1e-3)
    np.testing.assert_allclose(stack.std_F.numpy(), deviation_F, rtol=1e-3, atol=1e-6)


def test_a_part_has_the_deviation_of_its_scale():
    stack = stack_of("log_mel", "stft", stft={"scale": 0.25})
    stack.fit(batches())
    frames_NF = torch.from_numpy(real_frames(stack)).float()
    features = {"log_mel": frames_NF[None, :, :3], "stft": frames_NF[None, :, 3:]}
    normalised_NF = stack(features)[0]
    deviation_F = normalised_NF.std(0, correction=0)
    torch.testing.assert_close(deviation_F[:3], torch.ones(3), atol=1e-2, rtol=0)
    moving_F = frames_NF[:, 3:].std(0) > 1e-2
    quarter_F = torch.full((int(moving_F.sum()),), 0.25)
    torch.testing.assert_close(deviation_F[3:][moving_F], quarter_F, atol=1e-2, rtol=0)


def test_parts_stand_in_the_order_of_their_names():
    stack = stack_of("stft", "log_mel")
    wave_BS, samples_B = batches()[1]
    features = stack.extract(wave_BS, samples_B)
    # With the statistics of the start, that is none.
    together_BTF = stack(dict(reversed(features.items())))
    assert torch.equal(together_BTF[..., -3:], features["log_mel"])


def test_a_bin_that_hardly_moves_is_not_blown_up():
    stack = stack_of("log_mel")
    silence = torch.zeros(1, 3200), torch.tensor([3200])
    stack.fit([silence])
    torch.testing.assert_close(stack.std_F, torch.full((3,), 1e-3))


def test_normalised_features_are_those_less_the_mean_over_the_deviation():
    stack = stack_of("log_mel")
    stack.mean_F.copy_(torch.tensor([1.0, -2.0, 0.5]))
    stack.std_F.copy_(torch.tensor([0.5, 2.0, 4.0]))
    features = torch.tensor([[[3.0, 4.0, 4.5]]])
    assert stack({"log_mel": features}).tolist() == [[[4.0, 3.0, 1.0]]]


def test_bins_are_found_by_the_names_of_their_parts():
    stack = stack_of("stft", "log_mel")
    num_magnitudes = stack.sizes()["stft"]
    assert stack.bins(["log_mel"]) == [num_magnitudes, num_magnitudes + 1, num_magnitudes + 2]
    assert stack.bins(["log_mel", "stft"])[3:] == list(range(num_magnitudes))


def test_bins_of_a_part_that_is_not_there_are_refused_with_those_that_are():
    with pytest.raises(AioError, match="no front end 'stft' here. Parts: log_mel"):
        stack_of("log_mel").bins(["stft"])


def test_a_part_named_twice_is_refused():
    with pytest.raises(AioError, match="names 'log_mel' twice"):
        stack_of("log_mel", "log_mel")


def test_statistics_travel_with_the_weights_and_filters_do_not():
    assert set(stack_of("log_mel", "stft").state_dict()) == {"mean_F", "std_F"}
