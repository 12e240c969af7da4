"""The audio head: its sources, its permutations, and its loss against loops over utterances."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from sound_sources import (
    ENH,
    INNER,
    MUSIC,
    SEP,
    SOUND,
    WIDTH,
    C,
    Q,
    V,
    frames_of,
    make_head,
    make_trained,
    random_codes,
    random_frames,
    refs,
    targets_of,
    units_of,
)

from aio_toolkit.answers.audio import Audio
from aio_toolkit.answers.audio_target import AudioTargets
from aio_toolkit.config import from_values
from aio_toolkit.errors import AioError
from aio_toolkit.heads.audio import AudioHead
from aio_toolkit.heads.base import Frames
from aio_toolkit.heads.paths.base import References
from aio_toolkit.loss import Loss
from aio_toolkit.tasks import Task

# One of the two paths alone.
LATENT_ALONE = {"classes": {"weight": 0.0}}
# All codebooks count the same.
EVEN = {"codebook_decay": 1.0}


def loss_of(head: AudioHead, frames: Frames, target_BNTQ: torch.Tensor, seed: int = 1) -> Loss:
    """`seed` decides which sources are told the codes before."""
    torch.manual_seed(seed)
    return head.loss(frames, targets_of(frames, target_BNTQ))


# --- the loss as a whole ---


def closed_form_head(classes_weight: float, latent_weight: float) -> AudioHead:
    """Classes that are all equally likely; code 2 of codebook 0 stands for (1/4, 0, 0)."""
    embedding_QVC = torch.zeros(3, 4, 3)
    embedding_QVC[0, 2, 0] = 0.25
    paths = {"classes": {"weight": classes_weight, **EVEN}, "latent": {"weight": latent_weight}}
    head = make_head(embedding_QVC, **paths)
    for parameter in head.paths["classes"].parameters():
        torch.nn.init.zeros_(parameter)
    return head


# A stem has the energy 1/16 of the mixture, its estimate no error; the floor is 1/100.
LATENT = math.log(0.01 / (1 / 16 + 0.01))


@pytest.mark.parametrize(("classes", "latent"), [(0.001, 1), (1, 0.001), (0.3, 2), (3, 0.5)])
def test_the_loss_is_the_weighted_sum_of_the_paths(classes, latent):
    """Four equal stems, which are just what the head starts from: quarters of the mixture."""
    mixture_BTC = torch.tensor([1.0, 0.0, 0.0]).expand(2, 5, 3)
    frames = frames_of(torch.randn(2, 5, WIDTH), [5, 5], MUSIC, mixture_BTC)
    head = closed_form_head(classes, latent)
    loss = loss_of(head, frames, torch.full((2, 4, 5, 3), 2))
    want = classes * math.log(4) + latent * LATENT
    assert loss.total.item() == pytest.approx(want, rel=1e-4)
    assert loss.figures["codes"].item() == pytest.approx(math.log(4), rel=1e-5)
    assert loss.figures["latent_snr"].item() == pytest.approx(-10 * LATENT / math.log(10), rel=1e-4)


def test_a_path_of_no_weight_is_left_out():
    head = make_head(**LATENT_ALONE)
    assert list(head.paths) == ["latent"]
    frames = random_frames([6, 4], MUSIC)
    loss = loss_of(head, frames, random_codes(frames))
    assert loss.figures.keys() == {"latent_snr"}


def slow_latent_loss(estimate_NTC, true_NTC, mixture_TC) -> torch.Tensor:
    """Mean over sources of the log of error over energy, both with the floor."""
    floor = 0.01 * mixture_TC.square().sum()
    ratios = []
    for estimate_TC, true_TC in zip(estimate_NTC, true_NTC, strict=True):
        error = (estimate_TC - true_TC).square().sum()
        ratios.append(((error + floor) / (true_TC.square().sum() + floor)).log())
    return torch.stack(ratios).mean()


def slow_order(estimate_NTC, true_NTC, task) -> tuple[int, ...]:
    """For each estimate the source it is compared with."""
    straight = tuple(range(len(true_NTC)))
    if task in (MUSIC, ENH):
        return straight

    def error(order):
        return (estimate_NTC - true_NTC[list(order)]).square().sum()

    return min(itertools.permutations(straight), key=error)


def ragged_example(task) -> tuple[Frames, torch.Tensor]:
    """Three utterances of different length and their targets, whose padding holds -1."""
    frames = random_frames([9, 5, 6], task)
    return frames, random_codes(frames)


def one_by_one(head: AudioHead, frames: Frames, target_BNTQ: torch.Tensor):
    """Of each utterance alone: frames, estimates, the targets that they are to meet, mixture."""
    latent = head.paths["latent"]
    for b, length in enumerate(frames.lengths_B.tolist()):
        mixture_1TC = frames.features["codec_latents"][b : b + 1, :length]
        alone = frames_of(frames.h_BTD[b : b + 1, :length], [length], frames.task, mixture_1TC)
        sources, target_NTQ = head.split(alone), target_BNTQ[b, :, :length]
        estimate_NTC = latent.latents(sources)[0]
        order = slow_order(estimate_NTC, latent.embed(target_NTQ), frames.task)
        yield sources.g_BNTD[0], estimate_NTC, target_NTQ[list(order)], mixture_1TC[0]


@pytest.mark.parametrize("task", [SEP, SOUND, MUSIC], ids=lambda task: task.name)
def test_the_latent_loss_equals_a_loop_over_utterances(task):
    head = make_trained(**LATENT_ALONE)
    example = ragged_example(task)
    embed = head.paths["latent"].embed
    terms = [
        slow_latent_loss(estimate_NTC, embed(target_NTQ), mixture_TC)
        for _, estimate_NTC, target_NTQ, mixture_TC in one_by_one(head, *example)
    ]
    want = torch.stack(terms).mean()
    torch.testing.assert_close(loss_of(head, *example).total, want, atol=1e-4, rtol=0)


@pytest.mark.parametrize("task", [SEP, SOUND, MUSIC], ids=lambda task: task.name)
@torch.no_grad()
def test_the_loss_of_classes_equals_a_loop_over_frames(task):
    """Without context it does not matter who is told."""
    head = make_trained(classes=EVEN)
    classes = head.paths["classes"]
    for context in classes.context:
        torch.nn.init.zeros_(context.weight)
    example = ragged_example(task)
    costs_Q, hits_Q = [[] for _ in range(Q)], [[] for _ in range(Q)]
    for state_NTD, _, target_NTQ, _ in one_by_one(head, *example):
        for n, t, q in itertools.product(*map(range, target_NTQ.shape)):
            logit_V, code = classes.classifiers[q](state_NTD[n, t]), target_NTQ[n, t, q]
            costs_Q[q].append(F.cross_entropy(logit_V, code).item())
            hits_Q[q].append(bool(logit_V.argmax() == code))
    loss = loss_of(head, *example)
    want = sum(sum(costs) / len(costs) for costs in costs_Q) / Q
    assert loss.figures["codes"].item() == pytest.approx(want, rel=1e-5)
    for q, hits in enumerate(hits_Q):
        assert loss.figures[f"accuracy_q{q}"].item() == pytest.approx(sum(hits) / len(hits))


@pytest.mark.parametrize("task", [SEP, SOUND], ids=lambda task: task.name)
def test_the_examples_of_permuted_tasks_need_several_permutations(task):
    head = make_trained()
    latent = head.paths["latent"]
    frames, target_BNTQ = ragged_example(task)
    estimate_BNTC = latent.latents(head.split(frames))
    orders = set()
    for b, length in enumerate(frames.lengths_B.tolist()):
        true_NTC = latent.embed(target_BNTQ[b, :, :length])
        orders.add(slow_order(estimate_BNTC[b, :, :length], true_NTC, task))
    assert len(orders) > 1


# --- permutations and padding ---


def reordered(target_BNTQ: torch.Tensor) -> torch.Tensor:
    return target_BNTQ.flip(1)


def test_loss_of_a_permutation_task_does_not_depend_on_the_order_of_references():
    head, (frames, target_BNTQ) = make_trained(), ragged_example(SEP)
    a = loss_of(head, frames, target_BNTQ)
    b = loss_of(head, frames, reordered(target_BNTQ))
    torch.testing.assert_close(a.total, b.total)


@pytest.mark.parametrize("task", [ENH, MUSIC], ids=lambda task: task.name)
def test_loss_of_a_query_task_depends_on_the_order_of_references(task):
    head, (frames, target_BNTQ) = make_trained(), ragged_example(task)
    a = loss_of(head, frames, target_BNTQ)
    b = loss_of(head, frames, reordered(target_BNTQ))
    assert abs(a.total - b.total) > 1e-4


@pytest.mark.parametrize("kind", ["latent", "classes"])
def test_one_path_finds_the_permutation_for_all(kind):
    """Its own loss is then the least that any order of the references gives."""
    head, (frames, target_BNTQ) = make_trained(), ragged_example(SOUND)
    head.permutation_by = kind
    for context in head.paths["classes"].context:
        torch.nn.init.zeros_(context.weight)
    sources, path = head.split(frames), head.paths[kind]
    costs_BNN = path.costs(sources, refs(target_BNTQ.clamp_min(0)))
    order_BN = []
    for cost_NN in costs_BNN:
        total = {o: cost_NN[range(3), o].sum() for o in itertools.permutations(range(3))}
        order_BN.append(min(total, key=total.get))
    chosen_BNTQ = torch.stack(
        [target_NTQ[list(order)] for target_NTQ, order in zip(target_BNTQ, order_BN, strict=True)]
    )
    losses = [
        p.weight * p.loss(sources, refs(chosen_BNTQ.clamp_min(0))).total
        for p in head.paths.values()
    ]
    torch.testing.assert_close(loss_of(head, frames, target_BNTQ).total, sum(losses))


def test_the_two_paths_do_not_always_find_the_same_permutation():
    head, differences = make_trained(), []
    for seed in range(5):
        torch.manual_seed(seed)
        frames, target_BNTQ = ragged_example(SOUND)
        totals = []
        for kind in ("latent", "classes"):
            head.permutation_by = kind
            totals.append(loss_of(head, frames, target_BNTQ).total.item())
        differences.append(abs(totals[0] - totals[1]))
    assert max(differences) > 1e-3


def test_a_permutation_by_a_path_that_is_left_out_is_refused():
    values = {"permutation_by": "latent", "paths": {"classes": {"weight": 1.0}}}
    config = from_values(AudioHead.Config, values, "heads.audio")
    message = (
        "permutation_by: there is no path 'latent' with a weight. Choose one of: classes, mask"
    )
    with pytest.raises(AioError, match=message):
        AudioHead(config, WIDTH, [SEP], units_of())


@pytest.mark.parametrize("task", [SEP, MUSIC], ids=lambda task: task.name)
def test_padding_does_not_enter_the_loss(task):
    head = make_trained()
    h_BTD, mixture_BTC = torch.randn(1, 5, WIDTH), torch.randn(1, 5, C)
    frames = frames_of(h_BTD, [5], task, mixture_BTC)
    target_BNTQ = random_codes(frames)
    a = loss_of(head, frames, target_BNTQ)
    padded_h = torch.cat([h_BTD, torch.randn(1, 3, WIDTH) * 9], 1)
    padded_mixture = torch.cat([mixture_BTC, torch.randn(1, 3, C) * 9], 1)
    padding_BNTQ = torch.full((1, target_BNTQ.shape[1], 3, Q), -1)
    padded_target = torch.cat([target_BNTQ, padding_BNTQ], 2)
    b = loss_of(head, frames_of(padded_h, [5], task, padded_mixture), padded_target)
    torch.testing.assert_close(a.total, b.total)


# --- sources ---


@pytest.mark.parametrize(
    ("task", "sources"), [(ENH, ["speech", "noise"]), (SOUND, ["sound1", "sound2", "sound3"])]
)
def test_every_source_is_asked_for_by_its_own_layer_in_the_order_of_the_task(task, sources):
    frames = random_frames([2], task)
    before_BNTD = make_head().split(frames).g_BNTD
    assert before_BNTD.shape == (1, len(sources), 2, INNER)
    for n, source in enumerate(sources):
        changed = make_head()
        changed.queries[f"{task.name}_{source}"].bias.data += 1.0
        moved_N = (changed.split(frames).g_BNTD != before_BNTD).any(-1).any(-1)[0]
        assert moved_N.nonzero().flatten().tolist() == [n]


def test_paths_are_shown_the_mixture_and_its_features():
    frames = random_frames([7, 3], SEP)
    sources = make_head().split(frames)
    assert sources.features is frames.features
    assert torch.equal(sources.wave_BS, frames.wave_BS)
    assert sources.samples_B.tolist() == [7 * 320, 3 * 320]
    assert sources.valid_BT.sum(1).tolist() == [7, 3]


def test_keeping_one_task_keeps_its_answers_and_forgets_the_others():
    head, (frames, target_BNTQ) = make_trained(), ragged_example(ENH)
    want = loss_of(head, frames, target_BNTQ).total
    head.keep(ENH)
    assert torch.equal(loss_of(head, frames, target_BNTQ).total, want)
    assert sorted(head.queries) == ["enh_noise", "enh_speech"]


def test_a_new_task_gets_layers_of_its_own_and_leaves_the_others():
    head, frames = make_trained(), random_frames([4], SEP)
    head.keep(SEP)
    before, old = head.split(frames).g_BNTD, set(head.parameters())
    own = head.add_task(ENH)
    assert set(own) == set(head.parameters()) - old
    assert head.split(random_frames([4], ENH)).g_BNTD.shape == (1, 2, 4, INNER)
    assert torch.equal(head.split(frames).g_BNTD, before)


@pytest.mark.parametrize(
    ("mode", "kind"), [("latent", "latent"), ("argmax", "classes"), ("soft", "classes")]
)
def test_each_mode_of_decoding_is_answered_by_the_path_that_has_it(mode, kind):
    head = make_head()
    assert head.path_of_mode(mode) is head.paths[kind]


def test_a_mode_that_no_path_has_is_named_with_those_there_are():
    with pytest.raises(AioError, match="unknown audio.mode 'soft'. Choose one of: latent"):
        make_head(**LATENT_ALONE).path_of_mode("soft")


def test_learns_codes_that_are_a_function_of_the_frames():
    head = make_head()
    torch.manual_seed(0)
    inputs = torch.eye(WIDTH)[:V][torch.randint(V, (8, 12))]
    target = inputs.argmax(-1)[:, None, :, None].expand(8, 4, 12, Q).contiguous()
    frames = frames_of(inputs, [12] * 8, MUSIC, torch.zeros(8, 12, C))
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        loss = head.loss(frames, targets_of(frames, target))
        loss.total.backward()
        optimizer.step()
    codes = head.paths["classes"].argmax_codes(head.split(frames))
    assert (codes == target).float().mean() > 0.99
    assert loss.figures["latent_snr"] > 15


# --- waves, and rows without codes ---


def mask_head(**paths: dict) -> AudioHead:
    """A head that learns from waves, whose masks differ from one another."""
    torch.manual_seed(0)
    config = from_values(AudioHead.Config, {"width": INNER, "paths": paths}, "heads.audio")
    head = AudioHead(config, WIDTH, [SEP, ENH, SOUND, MUSIC], units_of())
    torch.nn.init.normal_(head.paths["mask"].linear.weight, std=0.3)
    return head


def random_waves(frames: Frames) -> AudioTargets:
    B, S = frames.wave_BS.shape
    wave_BNS = torch.randn(B, len(frames.task.targets), S)
    return AudioTargets(wave_BNS * (frames.wave_BS != 0)[:, None])


def test_the_residual_is_what_the_targets_leave_of_the_mixture():
    head, frames = mask_head(), random_frames([5, 3], ENH)
    target = random_waves(frames)
    noise_BS = frames.wave_BS - target.wave_BNS[:, 0]
    both_BNS = torch.stack([target.wave_BNS[:, 0], noise_BS], 1)
    want = head.paths["mask"].loss(head.split(frames), References(both_BNS)).total
    torch.testing.assert_close(head.loss(frames, target).total, want)


@pytest.mark.parametrize("task", [SEP, SOUND], ids=lambda task: task.name)
def test_the_order_of_waves_does_not_matter_where_any_estimate_may_be_any_target(task):
    head, frames = mask_head(), random_frames([5, 3], task)
    target = random_waves(frames)
    turned = AudioTargets(target.wave_BNS.roll(1, 1))
    torch.testing.assert_close(head.loss(frames, target).total, head.loss(frames, turned).total)


def test_a_residual_keeps_its_place_when_targets_change_theirs():
    """Two speakers and noise: the noise is never compared with the estimate of a speaker."""
    options = from_values(Audio.Config, {"match": "permutation", "residual": "noise"}, "task")
    task = Task("sep", "", "audio", ("spk1", "spk2"), ("si_sdr",), options)
    torch.manual_seed(0)
    head = AudioHead(AudioHead.Config(width=INNER), WIDTH, [task], units_of())
    torch.nn.init.normal_(head.paths["mask"].linear.weight, std=0.3)
    frames = random_frames([5, 3, 4], task)
    target = random_waves(frames)
    noise_BS = frames.wave_BS - target.wave_BNS.sum(1)
    sources, losses = head.split(frames), []
    for order in ([0, 1], [1, 0]):
        waves = torch.cat([target.wave_BNS[:, order], noise_BS[:, None]], 1)
        losses.append(head.paths["mask"].loss(sources, References(waves)).rows_B)
    want_B = torch.stack(losses).min(0).values
    torch.testing.assert_close(head.loss(frames, target).rows_B, want_B)


def test_paths_of_codes_learn_from_the_rows_that_have_them_alone():
    head = mask_head(mask={"weight": 1.0}, latent={"weight": 0.5})
    torch.nn.init.normal_(head.paths["latent"].linear.weight, std=0.3)
    frames = random_frames([5, 3, 4], MUSIC)
    target, codes_BNTQ = random_waves(frames), random_codes(frames)
    codes_BNTQ[1] = -1
    target.codes_BNTQ = codes_BNTQ
    loss = head.loss(frames, target)
    assert loss.figures["rows_without_codes"].item() == pytest.approx(1 / 3)

    sources, rows = head.split(frames), torch.tensor([0, 2])
    coded = refs(codes_BNTQ[rows].clamp_min(0))
    of_codes = head.paths["latent"].loss(sources.select(rows), coded).total
    of_waves = head.paths["mask"].loss(sources, References(target.wave_BNS)).total
    torch.testing.assert_close(loss.total, of_waves + 0.5 * of_codes)


def test_a_batch_without_codes_trains_the_masks_and_gives_all_else_a_gradient_of_zero():
    head = mask_head(latent={"weight": 1.0}, classes={"weight": 1.0})
    frames = random_frames([5, 3], SEP)
    loss = head.loss(frames, random_waves(frames))
    loss.total.backward()
    assert loss.figures["rows_without_codes"] == 1
    for kind in ("latent", "classes"):
        gradients = [parameter.grad for parameter in head.paths[kind].parameters()]
        assert all(gradient is not None and not gradient.any() for gradient in gradients)
    assert head.paths["mask"].linear.weight.grad.any()


@pytest.mark.parametrize(
    ("paths", "wanted", "reads"),
    [
        ({}, set(), set()),
        ({"classes": {"weight": 0.1}}, {"codes"}, set()),
        ({"latent": {"weight": 0.1}}, {"codes"}, {"codec_latents"}),
    ],
)
def test_what_paths_with_a_weight_learn_from_and_read_is_asked_for(paths, wanted, reads):
    config = from_values(AudioHead.Config, {"width": INNER, "paths": paths}, "heads.audio")
    assert AudioHead.wanted(config) == wanted
    assert AudioHead(config, WIDTH, [SEP], units_of()).reads == reads
