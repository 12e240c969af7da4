"""The teacher: what it makes of the input, and how it follows the encoder."""

import copy

import pytest
import torch
from tiny import CODEC, mels
from torch import nn

from aio_toolkit.config import Choice
from aio_toolkit.encoders.transformer import TransformerEncoder
from aio_toolkit.models.ssl import SslEncoder
from aio_toolkit.ssl._figures import spread
from aio_toolkit.ssl.base import FeatureEncoder, TargetSizes
from aio_toolkit.ssl.self_distillation import SelfDistillation, normalise_over_time

NUM_FEATURES, WIDTH, NUM_LAYERS = 10, 16, 4


def make_encoder() -> SslEncoder:
    torch.manual_seed(0)
    sizes = {"width": WIDTH, "num_layers": NUM_LAYERS, "num_heads": 2, "ffn_width": 16}
    choice = Choice("transformer", TransformerEncoder.Config(**sizes))
    return SslEncoder(SslEncoder.Config(choice, front_end=mels(NUM_FEATURES // 2)), CODEC.grid)


def make_objective(encoder: FeatureEncoder | None = None, **options) -> SelfDistillation:
    config = SelfDistillation.Config(**options)
    return SelfDistillation(config, encoder or make_encoder(), TargetSizes(10, 3, 5))


def slow_normalise(x_TD: torch.Tensor) -> torch.Tensor:
    """Every channel over the frames of one utterance."""
    columns = [(x_T - x_T.mean()) / (x_T.var(unbiased=False) + 1e-5).sqrt() for x_T in x_TD.T]
    return torch.stack(columns, -1)


def test_frames_are_normalised_over_the_real_ones_of_each_row(make_batch):
    batch = make_batch()
    x_BTD = 3 * torch.randn(3, 14, 5) + 1
    normalised_BTD = normalise_over_time(x_BTD, batch.valid_BT)
    for row, length in enumerate((14, 9, 11)):
        want = slow_normalise(x_BTD[row, :length])
        torch.testing.assert_close(normalised_BTD[row, :length], want, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("top_layers", [1, 2, 3])
def test_the_target_is_the_mean_of_the_last_layers_each_normalised(make_batch, top_layers):
    encoder, batch = make_encoder().eval(), make_batch()
    target_BTD = make_objective(encoder, top_layers=top_layers).target(batch)
    for row, length in enumerate((14, 9, 11)):
        features_1TF = batch.inputs_BTF[row : row + 1, :length]
        states = encoder(features_1TF, torch.tensor([length]))
        assert len(states) == NUM_LAYERS
        last = [slow_normalise(state_1TD[0]) for state_1TD in states[NUM_LAYERS - top_layers :]]
        want = sum(last) / top_layers
        torch.testing.assert_close(target_BTD[row, :length], want, atol=1e-4, rtol=1e-4)


def test_the_teacher_s_target_does_not_depend_on_padding(make_batch):
    objective, batch = make_objective(), make_batch()
    before = objective.target(batch)[batch.valid_BT]
    batch.inputs_BTF[~batch.valid_BT] = 100.0
    after = objective.target(batch)[batch.valid_BT]
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-5)


def test_the_loss_is_the_squared_error_on_masked_frames(make_batch):
    objective, batch = make_objective(), make_batch()
    target_BTD = objective.target(batch)
    terms = []
    for b, t in batch.masked_BT.nonzero().tolist():
        predicted_D = objective.predict(batch.states[-1][b, t])
        terms.append((predicted_D - target_BTD[b, t]).square().mean())
    loss = objective.loss(batch)
    torch.testing.assert_close(loss.total, torch.stack(terms).mean())
    torch.testing.assert_close(loss.figures["target_std"], spread(target_BTD[batch.masked_BT]))
    loss.total.backward()
    assert torch.equal(batch.states[-1].grad.abs().sum(-1) > 0, batch.masked_BT)


def test_the_teacher_is_not_trained_and_stays_in_evaluation_mode(make_batch):
    objective = make_objective().train()
    objective.target(make_batch())
    assert not any(parameter.requires_grad for parameter in objective.teacher.parameters())
    assert not any(module.training for module in objective.teacher.modules())


class OneWeight(FeatureEncoder):
    """An encoder that is a number and a buffer."""

    def __init__(self, value: float):
        super().__init__(width=WIDTH)
        self.encoder = nn.Linear(1, 1, bias=False)
        self.encoder.weight.data.fill_(value)
        self.register_buffer("mean_F", torch.full((3,), value))


def follow(steps: int, **options) -> list[float]:
    """The weight of a teacher that starts at 0 and follows an encoder that stays at 1."""
    objective, encoder = make_objective(OneWeight(0.0), **options), OneWeight(1.0)
    path = []
    for _ in range(steps):
        objective.after_step(encoder)
        path.append(objective.teacher.encoder.weight.item())
    return path


def test_the_decay_grows_linearly_to_its_end_and_stays_there():
    path = follow(7, decay=0.5, end_decay=0.9, decay_steps=4)
    left, want = 1.0, []
    for decay in (0.5, 0.6, 0.7, 0.8, 0.9, 0.9, 0.9):
        left *= decay
        want.append(1 - left)
    assert path == pytest.approx(want, abs=1e-6)


def test_a_constant_decay_leaves_its_power():
    path = follow(5, decay=0.8, end_decay=0.8, decay_steps=3)
    assert path == pytest.approx([1 - 0.8**step for step in range(1, 6)], abs=1e-6)


def test_statistics_are_copied_and_not_averaged():
    objective = make_objective(OneWeight(0.0), decay=0.9)
    objective.after_step(OneWeight(1.0))
    assert objective.teacher.mean_F.tolist() == [1.0, 1.0, 1.0]


def test_the_schedule_goes_on_where_a_checkpoint_left_it():
    options = {"decay": 0.5, "end_decay": 0.9, "decay_steps": 4}
    first, encoder = make_objective(OneWeight(0.0), **options), OneWeight(1.0)
    for _ in range(3):
        first.after_step(encoder)
    second = make_objective(OneWeight(0.0), **options)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for objective in (first, second):
        objective.after_step(encoder)
    assert torch.equal(first.teacher.encoder.weight, second.teacher.encoder.weight)


def test_every_parameter_of_a_real_encoder_is_followed():
    encoder = make_encoder()
    objective = make_objective(encoder, decay=0.9, end_decay=0.9)
    before = copy.deepcopy(dict(objective.teacher.named_parameters()))
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(torch.randn_like(parameter))
    objective.after_step(encoder)
    for name, parameter in encoder.named_parameters():
        want = 0.9 * before[name] + 0.1 * parameter
        torch.testing.assert_close(objective.teacher.get_parameter(name), want)
