"""The latent path against loops over frames and closed forms."""

import itertools
import math
from types import SimpleNamespace

import pytest
import torch
from sound_sources import INNER, C, Q, V, refs, source_frames, sources_of_mixture, units_of

from aio_toolkit.heads.paths.base import SourceFrames
from aio_toolkit.heads.paths.latent import LatentPath, latent_errors


def make_path(embedding_QVC: torch.Tensor | None = None) -> LatentPath:
    """As it starts."""
    torch.manual_seed(0)
    return LatentPath(LatentPath.Config(), INNER, units_of(embedding_QVC))


def make_trained() -> LatentPath:
    """One whose estimates differ from one another."""
    path = make_path()
    torch.nn.init.normal_(path.linear.weight, std=0.3)
    torch.nn.init.normal_(path.linear.bias, std=0.3)
    return path


@pytest.mark.parametrize("num_sources", [2, 4])
def test_estimates_start_as_equal_shares_of_the_mixture(num_sources):
    frames = source_frames([7, 4], num_sources)
    want_BTC = frames.features["codec_latents"] / num_sources
    got_BNTC = make_path().latents(frames)
    torch.testing.assert_close(got_BNTC, want_BTC[:, None].expand_as(got_BNTC))


def test_an_estimate_is_a_mask_on_the_mixture_plus_a_remainder():
    path, frames = make_trained(), source_frames([3, 3], num_sources=2)
    estimate_BNTC = path.latents(frames)
    for b, n, t in itertools.product(range(2), range(2), range(3)):
        mask_C, rest_C = path.linear(path.norm(frames.g_BNTD[b, n, t])).split(C)
        want = (mask_C + 1 / 2) * frames.features["codec_latents"][b, t] + rest_C
        torch.testing.assert_close(estimate_BNTC[b, n, t], want)


def test_embedded_codes_sum_the_codec_s_vectors():
    path = make_path()
    code_BNTQ = torch.randint(V, (2, 3, 4, Q))
    want = torch.zeros(2, 3, 4, C)
    for b, n, t, q in itertools.product(range(2), range(3), range(4), range(Q)):
        want[b, n, t] += path.embedding_QVC[q, code_BNTQ[b, n, t, q]]
    torch.testing.assert_close(path.embed(code_BNTQ), want)


def test_latent_errors_have_the_estimate_first_and_the_target_second():
    estimate, true = torch.randn(2, 3, 4, C), torch.randn(2, 2, 4, C)
    error_BNM = latent_errors(estimate, true)
    assert error_BNM.shape == (2, 3, 2)
    for b, n, m in itertools.product(range(2), range(3), range(2)):
        want = (estimate[b, n] - true[b, m]).square().sum()
        torch.testing.assert_close(error_BNM[b, n, m], want, atol=1e-3, rtol=1e-4)


def test_costs_are_the_squared_errors_of_real_frames_and_have_no_gradient():
    path, frames = make_trained(), source_frames([5, 3], num_sources=3)
    target_BNTQ = torch.randint(V, (2, 3, 5, Q))
    cost_BNN = path.costs(frames, refs(target_BNTQ))
    assert not cost_BNN.requires_grad
    estimate_BNTC, true_BNTC = path.latents(frames), path.embed(target_BNTQ)
    for b, n, m in itertools.product(range(2), range(3), range(3)):
        length = int(frames.valid_BT[b].sum())
        want = (estimate_BNTC[b, n, :length] - true_BNTC[b, m, :length]).square().sum()
        torch.testing.assert_close(cost_BNN[b, n, m], want, atol=1e-3, rtol=1e-4)


def equal_stems() -> tuple[LatentPath, SourceFrames, torch.Tensor]:
    """Four stems of code 2, a quarter of the mixture, which is what the path starts from."""
    embedding_QVC = torch.zeros(3, 4, 3)
    embedding_QVC[0, 2, 0] = 0.25
    mixture_BTC = torch.tensor([1.0, 0.0, 0.0]).expand(2, 5, 3)
    frames = sources_of_mixture(torch.randn(2, 4, 5, INNER), mixture_BTC)
    return make_path(embedding_QVC), frames, torch.full((2, 4, 5, 3), 2)


def test_the_loss_of_a_perfect_estimate_is_that_of_the_floor():
    """A stem has 1/16 of the mixture's energy, the floor is 1/100 of it."""
    path, frames, target_BNTQ = equal_stems()
    loss = path.loss(frames, refs(target_BNTQ))
    want = math.log(0.01 / (1 / 16 + 0.01))
    assert loss.total.item() == pytest.approx(want, rel=1e-4)
    assert loss.figures["latent_snr"].item() == pytest.approx(-10 * want / math.log(10), rel=1e-4)


def test_an_estimate_of_nothing_is_at_zero_decibel():
    path, frames, target_BNTQ = equal_stems()
    # A mask of minus the even share.
    path.linear.bias.data[:3] = -1 / 4
    loss = path.loss(frames, refs(target_BNTQ))
    assert loss.total.item() == pytest.approx(0, abs=1e-6)
    assert loss.figures["latent_snr"].item() == pytest.approx(0, abs=1e-5)


def test_silence_in_silence_costs_nothing_and_is_a_number():
    path = make_path(torch.zeros(Q, V, C))
    frames = source_frames([4], num_sources=2)
    silent = sources_of_mixture(frames.g_BNTD, torch.zeros(1, 4, C))
    loss = path.loss(silent, refs(torch.zeros(1, 2, 4, Q, dtype=torch.long)))
    assert loss.total.item() == pytest.approx(0, abs=1e-6)


def test_waves_are_decoded_from_the_codes_that_the_quantizer_makes():
    """A codec of one codebook, whose codes are rounded latents and whose waves are codes."""
    path, frames = make_trained(), source_frames([4, 4], num_sources=2)
    codec = SimpleNamespace(
        quantize=lambda latents_BTC: latents_BTC.round(),
        decode=lambda codes_BTQ: codes_BTQ.flatten(1) + 0.5,
    )
    waves_BNS = path.outputs(frames, codec, "latent")["codec"]
    assert waves_BNS.shape == (2, 2, 4 * C)
    assert torch.equal(waves_BNS, path.latents(frames).round().flatten(2) + 0.5)
