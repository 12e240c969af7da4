"""Gradients are clipped, whatever the optimizer and the precision."""

import lightning
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from aio_toolkit.errors import AioError
from aio_toolkit.training.clipping import ClippingModule
from aio_toolkit.training.module import TrainingModule
from aio_toolkit.training.optim import Optim


@pytest.mark.parametrize(
    ("algorithm", "want"),
    [(None, [[0.6, 0.8, 0.0]]), ("norm", [[0.6, 0.8, 0.0]]), ("value", [[1.0, 1.0, 0.0]])],
)
def test_gradients_are_clipped_by_the_norm_of_all_or_each_value(algorithm, want):
    module = TrainingModule(nn.Linear(3, 1, bias=False), Optim.Config())
    module.model.weight.grad = torch.tensor([[3.0, 4.0, 0.0]])
    module.configure_gradient_clipping(torch.optim.SGD(module.parameters()), 1.0, algorithm)
    torch.testing.assert_close(module.model.weight.grad, torch.tensor(want))


@pytest.mark.parametrize("value", [None, 0.0])
def test_without_a_limit_gradients_are_left_alone(value):
    module = TrainingModule(nn.Linear(3, 1, bias=False), Optim.Config())
    module.model.weight.grad = torch.tensor([[3.0, 4.0, 0.0]])
    module.configure_gradient_clipping(torch.optim.SGD(module.parameters()), value)
    torch.testing.assert_close(module.model.weight.grad, torch.tensor([[3.0, 4.0, 0.0]]))


class Slope(ClippingModule):
    """One parameter, whose gradient is 7."""

    def __init__(self):
        super().__init__()
        self.height = nn.Parameter(torch.zeros(()))
        self.seen: list[float] = []

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), fused=True)

    def training_step(self, batch, index) -> torch.Tensor:
        return 7.0 * self.height

    def on_before_optimizer_step(self, optimizer) -> None:
        self.seen.append(self.height.grad.item())

    def on_before_zero_grad(self, optimizer) -> None:
        if self.height.grad is not None:
            self.seen.append(self.height.grad.item())


@pytest.mark.parametrize("algorithm", ["norm", "value"])
@pytest.mark.filterwarnings("ignore")
def test_a_fused_optimizer_is_clipped_in_mixed_precision(algorithm):
    quiet = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    trainer = lightning.Trainer(
        accelerator="cpu",
        precision="bf16-mixed",
        max_steps=2,
        gradient_clip_val=0.5,
        gradient_clip_algorithm=algorithm,
        **dict.fromkeys(quiet, False),
    )
    module = Slope()
    trainer.fit(module, DataLoader([0, 0], batch_size=None))
    assert 7.0 in module.seen
    assert any(seen == pytest.approx(0.5, rel=1e-5) for seen in module.seen)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("options", [(None, None), (1.0, "norm"), (1.0, "value")])
def test_a_gradient_that_is_not_a_number_ends_the_run_before_its_step(value, options):
    module = TrainingModule(nn.Linear(3, 1, bias=False), Optim.Config())
    module.ids = ["asr-7"]
    module.model.weight.grad = torch.tensor([[1.0, value, 0.0]])
    with pytest.raises(AioError, match=r"norm of the gradients is .* at step 0 \(batch with asr-7"):
        module.configure_gradient_clipping(torch.optim.SGD(module.parameters()), *options)
