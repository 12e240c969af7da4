"""Adversarial losses: who is taught by what."""

import pytest
import torch

from aio_toolkit.codec.adversary import Adversary


@pytest.fixture(scope="module")
def adversary():
    torch.manual_seed(0)
    return Adversary(Adversary.Config(weight=1.0, periods=[2], fft_sizes=[256]), 16000)


@pytest.fixture
def waves():
    torch.manual_seed(1)
    return (0.1 * torch.randn(2, 2048)).requires_grad_(), 0.1 * torch.randn(2, 2048)


def gradients(adversary, estimate, loss):
    adversary.zero_grad()
    estimate.grad = None
    loss.backward()
    of_judge = sum(p.grad.abs().sum().item() for p in adversary.parameters() if p.grad is not None)
    return of_judge, 0.0 if estimate.grad is None else estimate.grad.abs().sum().item()


def test_the_discriminators_learn_from_their_own_loss_alone(adversary, waves):
    of_judge, of_estimate = gradients(adversary, waves[0], adversary(*waves).discriminator)
    assert of_judge > 0 and of_estimate == 0
    for name in ("generator", "features"):
        of_judge, of_estimate = gradients(adversary, waves[0], getattr(adversary(*waves), name))
        assert of_judge == 0 and of_estimate > 0, name


def test_the_losses_are_the_packages_formulas(adversary, waves):
    estimate, reference = waves
    loss = adversary(estimate, reference)
    fakes, reals = adversary.judge(estimate[:, None]), adversary.judge(reference[:, None])
    discriminator = sum(
        (f[-1] ** 2).mean() + ((1 - r[-1]) ** 2).mean() for f, r in zip(fakes, reals, strict=True)
    )
    generator = sum(((1 - f[-1]) ** 2).mean() for f in fakes)
    features = 0.0
    for fake, real in zip(fakes, reals, strict=True):
        for a, b in zip(fake[:-1], real[:-1], strict=True):
            features += torch.nn.functional.l1_loss(a, b)
    assert loss.discriminator.item() == pytest.approx(discriminator.item(), rel=1e-5)
    assert loss.generator.item() == pytest.approx(generator.item(), rel=1e-5)
    assert loss.features.item() == pytest.approx(features.item(), rel=1e-5)


def test_equal_waves_have_equal_features(adversary, waves):
    assert adversary(waves[1], waves[1]).features.item() == pytest.approx(0.0, abs=1e-6)
