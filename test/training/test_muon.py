"""Muon against torch's own, which takes single matrices, and against the singular value
decomposition."""

import copy

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import nn

from aio_toolkit.training.muon import POLYNOMIALS, Muon, orthogonalise

# Some machines multiply in bfloat16, of three significant digits.
CLOSE = {"rtol": 2e-2, "atol": 2e-2}
RATE, DECAY = 0.1, 0.3


def stepped(start_MAB: torch.Tensor, gradients: list[torch.Tensor]) -> torch.Tensor:
    """Where Muon takes a parameter by these gradients."""
    parameter = nn.Parameter(start_MAB.clone())
    optimizer = Muon([{"params": [parameter], "muon": True, "weight_decay": DECAY}], lr=RATE)
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach()


@pytest.mark.parametrize("shape", [(33, 70), (70, 33), (40, 40)])
def test_a_matrix_is_stepped_as_by_torch_own_muon_at_adamw_scale(shape):
    torch.manual_seed(0)
    # Orthogonal gradients stay what they are, by whatever polynomial: steps can be told exactly.
    left, right = torch.randn(shape), torch.randn(shape)
    start_AB = torch.randn(shape)
    gradients = [orthogonalised(left).view(shape), orthogonalised(right).view(shape)]
    known = nn.Parameter(start_AB.clone())
    reference = torch.optim.Muon(
        [known], lr=RATE, weight_decay=DECAY, adjust_lr_fn="match_rms_adamw"
    )
    for gradient in gradients:
        known.grad = gradient.clone()
        reference.step()
    found_AB = stepped(start_AB, gradients)
    moved, wanted = found_AB - start_AB, known.detach() - start_AB
    cosine = torch.cosine_similarity(moved.flatten(), wanted.flatten(), dim=0)
    assert cosine > 0.98
    assert moved.norm().item() == pytest.approx(wanted.norm().item(), rel=0.15)


def test_matrices_of_a_stack_are_stepped_as_each_alone():
    torch.manual_seed(0)
    start_MAB, gradient_NMAB = torch.randn(3, 5, 7), torch.randn(2, 3, 5, 7)
    # So unlike that a norm over the whole stack would show.
    gradient_NMAB[:, 1] *= 1000
    together = stepped(start_MAB, list(gradient_NMAB))
    for matrix in range(3):
        alone = stepped(start_MAB[matrix], list(gradient_NMAB[:, matrix]))
        torch.testing.assert_close(together[matrix], alone, **CLOSE)


def test_parameters_of_one_shape_get_each_its_own_step():
    torch.manual_seed(0)
    parameters = [nn.Parameter(torch.zeros(2, 4, 6)), nn.Parameter(torch.zeros(4, 6))]
    gradients = [torch.randn(2, 4, 6), torch.randn(4, 6)]
    optimizer = Muon([{"params": parameters, "muon": True}], lr=RATE)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    optimizer.step()
    for parameter, gradient in zip(parameters, gradients, strict=True):
        # One step from zero goes against the gradient.
        assert (parameter * gradient).sum() < 0
        cosine = torch.cosine_similarity(-parameter.flatten(), orthogonalised(gradient), dim=0)
        assert cosine > 0.95


def orthogonalised(x: torch.Tensor) -> torch.Tensor:
    """The matrices U V' of the decomposition U S V', laid flat."""
    left, _, right = torch.linalg.svd(x, full_matrices=False)
    return (left @ right).flatten()


def test_singular_vectors_stay_and_values_go_through_the_polynomials():
    torch.manual_seed(0)
    value_A = torch.tensor([1.0, 0.5, 0.1, 0.02])
    left_AA = torch.linalg.qr(torch.randn(4, 4))[0]
    right_BA = torch.linalg.qr(torch.randn(9, 4))[0]
    found_AB = orthogonalise((left_AA * value_A @ right_BA.T)[None])[0]

    value_A = value_A / value_A.norm()
    for a, b, c in POLYNOMIALS:
        value_A = a * value_A + b * value_A**3 + c * value_A**5
    torch.testing.assert_close(left_AA.T @ found_AB @ right_BA, value_A.diag(), rtol=0, atol=0.06)


def test_each_polynomial_is_the_best_for_what_those_before_it_leave():
    lowest, highest = 0.01, 1.0
    for coefficients in POLYNOMIALS:
        value_X = np.geomspace(lowest, highest, 1000)
        powers_X3 = np.stack([value_X, value_X**3, value_X**5], 1)
        # The least greatest distance to one, as a linear programme.
        ones_X1 = np.ones((len(value_X), 1))
        sides = np.block([[powers_X3, -ones_X1], [-powers_X3, -ones_X1]])
        bounds = np.concatenate([ones_X1, -ones_X1])[:, 0]
        best = linprog([0, 0, 0, 1], sides, bounds, bounds=[(None, None)] * 3 + [(0, None)])
        np.testing.assert_allclose(coefficients, best.x[:3], rtol=2e-3)
        lowest, highest = 1 - best.fun, 1 + best.fun
    assert highest < 1.3


def test_the_length_of_gradients_means_nothing():
    torch.manual_seed(0)
    gradient_AB = torch.randn(6, 4)
    small = stepped(torch.ones(6, 4), [1e-4 * gradient_AB])
    large = stepped(torch.ones(6, 4), [1e4 * gradient_AB])
    torch.testing.assert_close(small, large, rtol=1e-3, atol=1e-3)


def test_an_expert_without_gradient_decays_and_does_not_follow_its_momentum():
    torch.manual_seed(0)
    first_MAB, second_MAB = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    second_MAB[1] = 0
    start_MAB = torch.ones(2, 3, 4)
    once = stepped(start_MAB, [first_MAB])
    twice = stepped(start_MAB, [first_MAB, second_MAB])
    torch.testing.assert_close(twice[1], once[1] * (1 - RATE * DECAY))
    assert not torch.allclose(twice[0], once[0] * (1 - RATE * DECAY), atol=1e-3)


def test_other_groups_are_stepped_as_by_adamw():
    torch.manual_seed(0)
    ours, known = nn.Parameter(torch.ones(5)), nn.Parameter(torch.ones(5))
    betas = (0.8, 0.7)
    optimizer = Muon([{"params": [ours], "weight_decay": DECAY}], lr=RATE, betas=betas)
    reference = torch.optim.AdamW([known], lr=RATE, betas=betas, weight_decay=DECAY)
    for _ in range(3):
        gradient = torch.randn(5)
        for parameter, stepping in ((ours, optimizer), (known, reference)):
            parameter.grad = gradient.clone()
            stepping.step()
    torch.testing.assert_close(ours, known)


def test_a_parameter_without_a_gradient_stays():
    parameters = [nn.Parameter(torch.ones(3, 4)), nn.Parameter(torch.ones(3))]
    groups = [{"params": parameters[:1], "muon": True}, {"params": parameters[1:]}]
    Muon(groups, lr=RATE).step()
    assert all(parameter.eq(1).all() for parameter in parameters)


def test_a_run_goes_on_from_its_state_as_if_unbroken():
    torch.manual_seed(0)
    module = nn.Linear(3, 4)
    gradients = [(torch.randn(4, 3), torch.randn(4)) for _ in range(4)]

    def run(module: nn.Linear, optimizer: Muon, steps: slice) -> None:
        for weight, bias in gradients[steps]:
            module.weight.grad, module.bias.grad = weight.clone(), bias.clone()
            optimizer.step()

    def optimizer_of(module: nn.Linear) -> Muon:
        groups = [{"params": [module.weight], "muon": True}, {"params": [module.bias]}]
        return Muon(groups, lr=RATE)

    broken = copy.deepcopy(module)
    run(module, optimizer_of(module), slice(None))
    first = optimizer_of(broken)
    run(broken, first, slice(2))
    second = optimizer_of(broken)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    run(broken, second, slice(2, None))
    assert module.weight.equal(broken.weight)
    assert module.bias.equal(broken.bias)


def test_a_closure_is_called_and_its_loss_returned():
    parameter = nn.Parameter(torch.ones(2, 2))
    optimizer = Muon([{"params": [parameter], "muon": True}], lr=RATE)

    def closure() -> float:
        loss = parameter.square().sum()
        loss.backward()
        return loss.item()

    assert optimizer.step(closure) == 4
    assert not parameter.eq(1).all()
