"""The mask path against loops, hand formulas and what masks must not depend on."""

import dataclasses
import math

import pytest
import torch
from sound_sources import INNER, units_of

from aio_toolkit.heads.paths.base import References, SourceFrames
from aio_toolkit.heads.paths.mask import MaskPath

HOP = 320
KINDS = ["magnitude", "complex"]


def make_path(kind: str = "magnitude", trained: bool = True, **options) -> MaskPath:
    torch.manual_seed(0)
    path = MaskPath(MaskPath.Config(kind=kind, **options), INNER, units_of())
    if trained:
        torch.nn.init.normal_(path.linear.weight, std=0.3)
    return path


def make_sources(samples: list[int], num_sources: int = 2, seed: int = 0) -> SourceFrames:
    generator = torch.Generator().manual_seed(seed)
    samples_B = torch.tensor(samples)
    lengths_B = -(-samples_B // HOP)
    wave_BS = 0.1 * torch.randn(len(samples), max(samples), generator=generator)
    wave_BS = wave_BS * (torch.arange(max(samples)) < samples_B[:, None])
    shape = len(samples), num_sources, int(lengths_B.max()), INNER
    g_BNTD = torch.randn(shape, generator=generator)
    return SourceFrames(g_BNTD, lengths_B, wave_BS, samples_B)


def make_references(sources: SourceFrames, seed: int = 5) -> References:
    generator = torch.Generator().manual_seed(seed)
    B, S = sources.wave_BS.shape
    wave_BNS = 0.1 * torch.randn(B, sources.num_sources, S, generator=generator)
    return References(wave_BNS * (torch.arange(S) < sources.samples_B[:, None, None]))


def masked(path: MaskPath, sources: SourceFrames) -> torch.Tensor:
    return path.outputs(sources, None, "mask")["masked"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_sources", [2, 3])
@pytest.mark.parametrize("num_samples", [1, 319, 321, 2000])
def test_estimates_start_as_equal_shares_of_the_mixture(kind, num_sources, num_samples):
    sources = make_sources([num_samples], num_sources)
    got_BNS = masked(make_path(kind, trained=False), sources)
    want_BNS = (sources.wave_BS / num_sources)[:, None].expand_as(got_BNS)
    torch.testing.assert_close(got_BNS, want_BNS, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_masks_add_up_to_one_and_estimates_to_the_mixture(kind):
    path, sources = make_path(kind), make_sources([2000, 1500], 3)
    mask_BNKF = path.masks(sources)
    assert mask_BNKF.shape == (2, 3, 14, 257)
    ones = torch.ones_like(mask_BNKF[:, 0])
    torch.testing.assert_close(mask_BNKF.sum(1), ones, atol=1e-5, rtol=0)
    torch.testing.assert_close(masked(path, sources).sum(1), sources.wave_BS, atol=1e-5, rtol=0)


def test_the_values_of_a_frame_are_masks_of_its_sub_frames_in_turn():
    path, sources = make_path(), make_sources([3 * HOP])
    mask_BNKF = path.masks(sources)
    for n, t, j in [(0, 0, 0), (1, 2, 1), (0, 1, 1)]:
        values = [path.linear(path.norm(sources.g_BNTD[0, m, t])) for m in range(2)]
        own = [value.view(2, 257)[j] for value in values]
        want_F = own[n].exp() / (own[0].exp() + own[1].exp())
        torch.testing.assert_close(mask_BNKF[0, n, 2 * t + j], want_F)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_alone_is_what_it_is_in_a_ragged_batch(kind):
    path, sources = make_path(kind), make_sources([2000, 1501, 319])
    references = make_references(sources)
    together, rows_B = masked(path, sources), path.loss(sources, references).rows_B
    for b, samples in enumerate(sources.samples_B.tolist()):
        alone = sources.row(b)
        torch.testing.assert_close(
            masked(path, alone)[0], together[b, :, :samples], atol=1e-5, rtol=0
        )
        assert not together[b, :, samples:].any()
        own = References(references.wave_BNS[b : b + 1, :, :samples])
        torch.testing.assert_close(path.loss(alone, own).rows_B[0], rows_B[b], atol=1e-5, rtol=0)


def slow_loss(estimate_S, true_S, mixture_S, threshold_db: float) -> float:
    """Negative SNR in nepers, no better than the threshold; of silence against the mixture."""
    tau = 10 ** (-threshold_db / 10)
    error = ((estimate_S - true_S) ** 2).sum().item()
    energy = (true_S**2).sum().item() or (mixture_S**2).sum().item()
    return math.log((error + tau * energy) / energy)


@pytest.mark.parametrize("threshold_db", [30.0, 10.0])
@pytest.mark.parametrize("silent_weight", [0.2, 0.5])
def test_the_loss_is_the_thresholded_snr_with_little_weight_on_silence(threshold_db, silent_weight):
    path = make_path(threshold_db=threshold_db, silent_weight=silent_weight)
    sources = make_sources([2000, 1500], 3)
    references = make_references(sources)
    references.wave_BNS[1, 2] = 0
    # Beyond the threshold.
    references.wave_BNS[0, 0] = masked(path, sources)[0, 0]
    estimate_BNS = masked(path, sources)
    rows, heard = [], []
    for b in range(2):
        losses = [
            slow_loss(
                estimate_BNS[b, n], references.wave_BNS[b, n], sources.wave_BS[b], threshold_db
            )
            for n in range(3)
        ]
        weights = [1, 1, silent_weight if b == 1 else 1]
        rows.append(sum(w * x for w, x in zip(weights, losses, strict=True)) / sum(weights))
        heard += losses if b == 0 else losses[:2]
    loss = path.loss(sources, references)
    assert loss.rows_B.tolist() == pytest.approx(rows, rel=1e-4)
    assert loss.total.item() == pytest.approx(sum(rows) / 2, rel=1e-4)
    snr = -10 / math.log(10) * sum(heard) / len(heard)
    assert loss.figures["snr"].item() == pytest.approx(snr, rel=1e-4)


def test_costs_are_the_losses_of_every_pair_and_have_no_gradient():
    path, sources = make_path(), make_sources([2000, 1500], 3)
    references = make_references(sources)
    cost_BNN = path.costs(sources, references)
    assert not cost_BNN.requires_grad
    estimate_BNS = masked(path, sources)
    for b, n, m in [(0, 0, 0), (0, 2, 1), (1, 1, 2)]:
        pair = estimate_BNS[b, n], references.wave_BNS[b, m]
        want = slow_loss(*pair, sources.wave_BS[b], 30.0)
        assert cost_BNN[b, n, m].item() == pytest.approx(want, rel=1e-4)


def test_what_costs_and_loss_are_of_is_made_once_and_trains(monkeypatch):
    path, sources = make_path(), make_sources([2000, 1500])
    references, made = make_references(sources), []
    masks = path.masks
    monkeypatch.setattr(path, "masks", lambda sources: made.append(1) or masks(sources))
    path.costs(sources, references)
    path.loss(sources, references).total.backward()
    assert len(made) == 1 and path.linear.weight.grad.abs().sum() > 0
    # Of other frames or another mixture, others.
    louder = dataclasses.replace(sources, wave_BS=2 * sources.wave_BS)
    torch.testing.assert_close(masked(path, louder), 2 * masked(path, sources))
    assert not torch.equal(masked(path, make_sources([2000, 1500], seed=1)), masked(path, sources))


def test_the_level_of_a_recording_changes_neither_loss_nor_masks_and_comes_back():
    path, sources = make_path(), make_sources([2000])
    references = make_references(sources)
    loud = SourceFrames(sources.g_BNTD, sources.lengths_B, 50 * sources.wave_BS, sources.samples_B)
    want = path.loss(sources, references).total
    got = path.loss(loud, References(50 * references.wave_BNS)).total
    torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(masked(path, loud), 50 * masked(path, sources), atol=1e-4, rtol=1e-3)


def test_silence_in_silence_is_a_number():
    path, sources = make_path(), make_sources([800])
    silent = SourceFrames(
        sources.g_BNTD, sources.lengths_B, torch.zeros_like(sources.wave_BS), sources.samples_B
    )
    loss = path.loss(silent, References(torch.zeros(1, 2, 800))).total
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(path.linear.weight.grad).all()
    assert not masked(path, silent).any()


def test_masks_stay_in_float32_under_autocast():
    path, sources = make_path(), make_sources([2000])
    with torch.autocast("cpu", torch.bfloat16):
        mask_BNKF, estimate_BNS = path.masks(sources), masked(path, sources)
    assert mask_BNKF.dtype == estimate_BNS.dtype == torch.float32
    torch.testing.assert_close(estimate_BNS.sum(1), sources.wave_BS, atol=1e-5, rtol=0)


def test_the_codes_are_those_of_the_masked_mixture():
    """A codec whose codes are rounded waves."""
    from types import SimpleNamespace

    path, sources = make_path(), make_sources([3 * HOP])
    codec = SimpleNamespace(
        encode=lambda wave_MS: SimpleNamespace(codes_BTQ=(100 * wave_MS).round()),
        decode=lambda codes_MS: torch.cat([codes_MS / 100, torch.ones(len(codes_MS), 7)], 1),
    )
    outputs = path.outputs(sources, codec, "mask")
    want = (100 * outputs["masked"]).round() / 100
    assert torch.equal(outputs["codec"], want)


def test_ten_mixtures_are_learnt_by_heart():
    """Pairs of tones in noise bands, from frames that tell which is where: 15 dB and more."""
    torch.manual_seed(0)
    S, N = 10 * HOP, 10
    time_S = torch.arange(S) / 16000
    low = torch.stack([torch.sin(2 * torch.pi * (300 + 40 * n) * time_S) for n in range(N)])
    high = torch.stack([torch.sin(2 * torch.pi * (2000 + 90 * n) * time_S) for n in range(N)])
    true_BNS = torch.stack([low, high], 1)
    path = make_path(trained=False)
    mixture_BS = true_BNS.sum(1)
    samples_B = torch.full((N,), S)
    g_BNTD = torch.nn.Parameter(torch.randn(N, 2, 10, INNER))
    optimizer = torch.optim.Adam([g_BNTD, *path.parameters()], lr=3e-2)
    for _ in range(120):
        sources = SourceFrames(g_BNTD, samples_B // HOP, mixture_BS, samples_B)
        loss = path.loss(sources, References(true_BNS))
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
    assert loss.figures["snr"] > 15
