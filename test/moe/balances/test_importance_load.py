"""Importance and load against a loop over tokens."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from routings import noisy_routing, table_of

from aio_toolkit.moe.balances.importance_load import ImportanceLoad
from aio_toolkit.moe.tabulate import tabulate


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_importance_and_load_equal_a_loop_over_tokens(noise):
    N, E, K = 23, 6, 2
    routing = noisy_routing(N, E, K, noise)
    importance, load = np.zeros(E), np.zeros(E)
    for n in range(N):
        noisy = routing.noisy_NE[n].tolist()
        for k in range(K):
            importance[routing.expert_NK[n, k]] += routing.weight_NK[n, k].item()
        for e in range(E):
            if noise:
                others = sorted((x for i, x in enumerate(noisy) if i != e), reverse=True)
                z = (routing.logit_NE[n, e].item() - others[K - 1]) / noise
                load[e] += 0.5 * (1 + math.erf(z / math.sqrt(2)))
            else:
                load[e] += e in routing.expert_NK[n]
    expected = importance.var() / importance.mean() ** 2 + load.var() / load.mean() ** 2
    balance = ImportanceLoad(ImportanceLoad.Config())
    member_GN = F.one_hot(torch.randint(3, (N,)), 3).T.float()
    got = balance.loss(tabulate(routing, member_GN, balance.reads))
    assert got.item() == pytest.approx(expected, rel=1e-5)


def test_a_layer_without_tokens_has_no_loss():
    table = table_of(torch.zeros(2, 3), torch.zeros(2))
    assert ImportanceLoad(ImportanceLoad.Config()).loss(table).item() == 0
