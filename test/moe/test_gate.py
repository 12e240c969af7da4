"""Gates: who is chosen, with what weight, and what never counts."""

import pytest
import torch

from aio_toolkit import parts
from aio_toolkit.config import Choice
from aio_toolkit.errors import AioError
from aio_toolkit.moe.base import Routing
from aio_toolkit.moe.routers.base import Router, RouterSizes

ROUTERS = parts.kinds("moe/routers")


def build(kind: str = "per_task", E: int = 4, K: int = 2, **options) -> Router:
    """A router of two tasks and width 8 as it starts."""
    config = parts.find(Router, kind).Config(**{"noise": 0.0, **options})
    return parts.build(Router, Choice(kind, config), RouterSizes(8, 2, E, K))


def router(kind: str = "per_task", **options) -> Router:
    """A router whose gates have learnt to choose."""
    made = build(kind, **options)
    torch.manual_seed(1)
    for name, parameter in made.named_parameters():
        if "DE" in name:
            torch.nn.init.normal_(parameter)
    return made


def route(made: Router, x_ND: torch.Tensor, task_N: torch.Tensor) -> Routing:
    """Every token as a row of its own, with padding behind it, which goes nowhere."""
    x_BTD = torch.stack([x_ND, torch.full_like(x_ND, 1e3)], dim=1)
    routing = made(x_BTD, torch.tensor([True, False]).expand(len(x_ND), 2), task_N)
    assert not routing.active_NK[1::2].any()
    assert (routing.weight_NK[1::2] == 0).all()
    choices = (routing.expert_NK[::2], routing.weight_NK[::2], routing.active_NK[::2])
    return Routing(*choices, routing.logit_NE[::2], routing.noisy_NE[::2], routing.noise)


def tokens(N: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(N, 8), torch.randint(2, (N,))


@pytest.mark.parametrize("kind", ROUTERS)
def test_gates_that_train_with_noise_start_at_zero(kind):
    x_ND, task_N = tokens(5)
    made = build(kind, noise=0.1).eval()
    assert (route(made, x_ND, task_N).logit_NE == 0).all()


@pytest.mark.parametrize("kind", ROUTERS)
def test_without_noise_tokens_do_not_all_start_with_the_same_experts(kind):
    torch.manual_seed(0)
    routing = route(build(kind, E=8), *tokens(200))
    visits_E = torch.bincount(routing.expert_NK.flatten(), minlength=8)
    assert (visits_E > 0).sum() > 4


@pytest.mark.parametrize("kind", ROUTERS)
def test_one_renormalised_choice_is_refused_as_its_gate_would_learn_nothing(kind):
    with pytest.raises(AioError, match="renormalise: false"):
        build(kind, K=1)
    x_ND, task_N = tokens(6)
    made = router(kind, K=1, renormalise=False)
    weight_NK = route(made, x_ND, task_N).weight_NK
    weight_NK.sum().backward()
    gates = [p for name, p in made.named_parameters() if "DE" in name]
    assert all(gate.grad is not None and gate.grad.abs().max() > 0 for gate in gates)


@pytest.mark.parametrize("kind", ROUTERS)
def test_only_routers_that_know_the_task_send_a_token_elsewhere_for_it(kind):
    made, (x_ND, _) = router(kind, E=16), tokens(40)
    choices = [route(made, x_ND, torch.full((40,), task)).expert_NK for task in range(2)]
    assert torch.equal(*choices) == (kind == "shared")


def test_the_greatest_logits_are_chosen_in_descending_order():
    routing = route(router(E=7, K=3), *tokens(20))
    for n, logit_E in enumerate(routing.logit_NE.tolist()):
        best = sorted(range(7), key=lambda e: -logit_E[e])[:3]
        assert routing.expert_NK[n].tolist() == best


def test_renormalised_weights_sum_to_one_and_raw_ones_are_the_gates_probabilities():
    x_ND, task_N = tokens(20)
    whole, raw = route(router(), x_ND, task_N), route(router(renormalise=False), x_ND, task_N)
    torch.testing.assert_close(whole.weight_NK.sum(1), torch.ones(20))
    probability_NE = raw.logit_NE.softmax(-1)
    torch.testing.assert_close(raw.weight_NK, probability_NE.gather(1, raw.expert_NK))
    assert (raw.weight_NK.sum(1) < 1).all()


def test_renormalised_weights_are_a_softmax_over_the_chosen_logits_with_its_gradient():
    made, (x_ND, task_N) = router(E=6, K=3), tokens(9)
    routing = route(made, x_ND, task_N)
    rows = []
    for x_D, task, expert_K in zip(x_ND, task_N.tolist(), routing.expert_NK, strict=True):
        rows.append((x_D @ made.gates_DE[task][:, expert_K]).softmax(0))
    want_NK = torch.stack(rows)
    torch.testing.assert_close(routing.weight_NK, want_NK)
    factor_NK, gates = torch.randn(9, 3), list(made.parameters())
    got = torch.autograd.grad((routing.weight_NK * factor_NK).sum(), gates)
    want = torch.autograd.grad((want_NK * factor_NK).sum(), gates)
    torch.testing.assert_close(got, want)


def test_where_a_token_visits_all_experts_weights_are_the_gates_distribution():
    routing = route(router(E=4, K=4), *tokens(11))
    probability_NE = routing.logit_NE.softmax(-1)
    assert routing.expert_NK.sort(1).values.tolist() == [[0, 1, 2, 3]] * 11
    torch.testing.assert_close(routing.weight_NK, probability_NE.gather(1, routing.expert_NK))


def test_top_p_takes_the_fewest_experts_that_reach_the_sum():
    made = router(E=8, K=5, top_p=0.7)
    x_ND, task_N = tokens(60)
    routing = route(made, 0.5 * x_ND, task_N)
    for n, probability_E in enumerate(routing.logit_NE.softmax(-1)):
        order, total, wanted = probability_E.argsort(descending=True).tolist(), 0.0, []
        for expert in order[:5]:
            if total >= 0.7:
                break
            wanted.append(expert)
            total += probability_E[expert].item()
        assert routing.expert_NK[n][routing.active_NK[n]].tolist() == wanted
    assert len(routing.active_NK.sum(1).unique()) > 1
    assert (routing.weight_NK[~routing.active_NK] == 0).all()
    torch.testing.assert_close(routing.weight_NK.sum(1), torch.ones(60))


@pytest.mark.parametrize(
    ("top_p", "visits"), [(1e-6, 1), (0.25, 1), (0.26, 2), (0.75, 3), (1.0, 4)]
)
def test_a_sum_that_is_reached_exactly_needs_no_further_expert(top_p, visits):
    """Gates at zero give each of four experts a probability of exactly a quarter."""
    routing = route(build(K=4, top_p=top_p, noise=0.1).eval(), *tokens(3))
    assert routing.active_NK.sum(1).tolist() == [visits] * 3


def test_raw_weights_under_top_p_are_the_gates_probabilities():
    routing = route(router(E=8, K=5, top_p=0.6, renormalise=False), *tokens(30))
    probability_NK = routing.logit_NE.softmax(-1).gather(1, routing.expert_NK)
    torch.testing.assert_close(routing.weight_NK, probability_NK * routing.active_NK)


def test_the_bias_moves_the_choice_and_not_the_weights():
    made = router(renormalise=False)
    made.bias_E[3] = 10.0
    routing = route(made, *tokens(30))
    assert (routing.expert_NK == 3).any(1).all()
    probability_NE = routing.logit_NE.softmax(-1)
    torch.testing.assert_close(routing.weight_NK, probability_NE.gather(1, routing.expert_NK))


def test_a_bias_below_zero_keeps_tokens_away():
    made = router()
    made.bias_E[1] = -10.0
    assert not (route(made, *tokens(30)).expert_NK == 1).any()


def test_weights_are_finite_where_the_bias_chooses_experts_of_no_probability():
    made = router("shared")
    made.gate_DE.data = torch.zeros(8, 4)
    made.gate_DE.data[0] = torch.tensor([500.0, 0.0, 0.0, 0.0])
    made.bias_E[2:] = 10.0
    x_ND = torch.ones(1, 8)
    routing = route(made, x_ND, torch.tensor([0]))
    assert routing.expert_NK.sort(1).values.tolist() == [[2, 3]]
    routing.weight_NK.sum().backward()
    assert routing.weight_NK.isfinite().all()
    assert made.gate_DE.grad.isfinite().all()


def test_gates_compute_in_float32_under_autocast():
    made, (x_ND, task_N) = router(), tokens(50)
    exact = route(made, x_ND, task_N)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = route(made, x_ND, task_N)
    assert mixed.logit_NE.dtype == mixed.weight_NK.dtype == torch.float32
    torch.testing.assert_close(mixed.logit_NE, exact.logit_NE, atol=0, rtol=0)


def test_noise_acts_in_training_only():
    made, (x_ND, task_N) = build(E=16, noise=1.0), tokens(64)
    assert len(route(made.eval(), x_ND, task_N).expert_NK.unique()) == 2
    assert len(route(made.train(), x_ND, task_N).expert_NK.unique()) == 16


def test_noise_has_its_standard_deviation_and_is_told_beside_clean_logits():
    made, (x_ND, task_N) = build(E=50, noise=0.3), tokens(400)
    training, evaluation = route(made.train(), x_ND, task_N), route(made.eval(), x_ND, task_N)
    assert (training.noise, evaluation.noise) == (0.3, 0.0)
    assert (training.logit_NE == 0).all()
    assert training.noisy_NE.std().item() == pytest.approx(0.3, rel=0.05)
    assert torch.equal(evaluation.noisy_NE, evaluation.logit_NE)


@pytest.mark.parametrize(("noise", "training"), [(1.0, False), (0.0, True)])
def test_without_noise_nothing_is_drawn(noise, training):
    made, (x_ND, task_N) = build(noise=noise).train(training), tokens(4)
    before = torch.get_rng_state()
    route(made, x_ND, task_N)
    assert torch.equal(torch.get_rng_state(), before)


def test_padding_sends_no_gradient_to_the_gate():
    made, x_BTD = router("shared"), torch.randn(1, 6, 8)
    valid_BT = torch.tensor([[True] * 4 + [False] * 2])
    routing = made(x_BTD, valid_BT, torch.tensor([0]))
    factor_NK = torch.randn_like(routing.weight_NK)
    (got,) = torch.autograd.grad((routing.weight_NK * factor_NK).sum(), made.gate_DE)
    alone = made(x_BTD[:, :4], valid_BT[:, :4], torch.tensor([0]))
    (want,) = torch.autograd.grad((alone.weight_NK * factor_NK[:4]).sum(), made.gate_DE)
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize("kind", ROUTERS)
def test_a_router_that_is_cut_keeps_a_task_and_its_experts_in_their_new_order(kind):
    made, (x_ND, _) = router(kind, E=5), tokens(7)
    made.bias_E[:] = torch.arange(5.0)
    whole = route(made, x_ND, torch.ones(7, dtype=torch.long))
    made.keep(1, [4, 0, 2])
    cut = route(made, x_ND, torch.zeros(7, dtype=torch.long))
    torch.testing.assert_close(cut.logit_NE, whole.logit_NE[:, [4, 0, 2]])
    assert made.bias_E.tolist() == [4, 0, 2]
    assert (made.num_experts, made.top_k) == (3, 2)


def test_a_router_cut_to_fewer_experts_than_a_token_visits_chooses_them_all():
    made = router(E=5, K=3)
    made.keep(0, [1, 3])
    assert made.top_k == 2
    assert route(made, torch.randn(4, 8), torch.zeros(4, dtype=torch.long)).active_NK.all()


@pytest.mark.parametrize(("kind", "own"), [("per_task", 1), ("shared", 0), ("task_conditioned", 1)])
def test_a_new_task_leaves_the_routing_of_the_others(kind, own):
    made, (x_ND, task_N) = router(kind), tokens(9)
    before = route(made, x_ND, task_N)
    old = list(made.parameters())
    added = made.add_task()
    assert torch.equal(route(made, x_ND, task_N).weight_NK, before.weight_NK)
    assert len(added) == own
    assert all(new is not parameter for new in added for parameter in old)
    assert len(list(made.parameters())) == len(old) + own
    assert route(made, x_ND, torch.full((9,), 2)).active_NK.all()


def test_renormalised_routing_survives_a_cut_to_the_experts_that_are_visited():
    made, (x_ND, task_N) = router(E=6), tokens(12)
    x_ND, task_N = x_ND[:1].expand(12, 8), torch.zeros_like(task_N)
    whole = route(made, x_ND, task_N)
    assert made.survives_cut
    made.keep(0, whole.expert_NK[0].tolist())
    torch.testing.assert_close(route(made, x_ND, task_N).weight_NK, whole.weight_NK)


@pytest.mark.parametrize("options", [{"renormalise": False}, {"top_p": 0.5}])
def test_routing_that_weighs_experts_by_all_does_not_survive_a_cut(options):
    assert not router(**options).survives_cut


def test_biased_routing_does_not_survive_a_cut():
    made = router()
    made.bias_E[1] = -0.001
    assert not made.survives_cut


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"kind": "gate"},
            "unknown kind 'gate'. .*Known kinds: per_task, shared, task_conditioned",
        ),
    ],
)
def test_what_cannot_be_is_named(options, message):
    with pytest.raises(AioError, match=message):
        router(**options)
