"""CTC prefix scores against sums over all paths, and against ESPnet's."""

import itertools
import math

import pytest
import torch
from espnet2.legacy.nets.ctc_prefix_score import CTCPrefixScoreTH

from aio_toolkit.decoding.ctc_prefix import CtcPrefixes

BLANK, EOS = 0, 3


def random_log_prob(*shape: int, sharpness: float = 2.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    logit = sharpness * torch.randn(*shape, generator=generator, dtype=torch.float64)
    return logit.log_softmax(-1)


def sentence_probs(log_prob_TV: torch.Tensor) -> dict[tuple[int, ...], float]:
    """Probability of each sentence, by all paths."""
    T, V = log_prob_TV.shape
    probs: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(V), repeat=T):
        prob = math.exp(sum(log_prob_TV[t, v].item() for t, v in enumerate(path)))
        sentence = tuple(v for v, _ in itertools.groupby(path) if v != BLANK)
        probs[sentence] = probs.get(sentence, 0.0) + prob
    return probs


def all_scores(prefixes: CtcPrefixes, length: int) -> dict[tuple[int, ...], torch.Tensor]:
    """Scores (B, V) behind each hypothesis up to a length, all of one length judged together."""
    hypotheses, scores = [()], {}
    for _ in range(length + 1):
        score_BHV = prefixes.scores()
        scores |= {one: score_BHV[:, h] for h, one in enumerate(hypotheses)}
        parents = [(h, v) for h in range(len(hypotheses)) for v in (1, 2)]
        hypotheses = [(*hypotheses[h], v) for h, v in parents]
        parent_BH, token_BH = torch.tensor(parents).T[:, None].expand(2, len(score_BHV), -1)
        prefixes.advance(parent_BH, token_BH)
    return scores


@pytest.mark.parametrize("length", [1, 2, 5])
def test_a_score_is_the_sum_over_all_paths_of_all_sentences_that_begin_so(length):
    log_prob_BTV = random_log_prob(2, 5, 4)
    lengths_B = torch.tensor([length, 5])
    probs = sentence_probs(log_prob_BTV[0, :length])
    scores = all_scores(CtcPrefixes(log_prob_BTV, lengths_B, EOS), 3)
    for hypothesis, score_BV in scores.items():
        want_V = []
        for v in range(4):
            begin = (*hypothesis, v)
            want_V.append(sum(p for s, p in probs.items() if s[: len(begin)] == begin))
        want_V[EOS] = probs.get(hypothesis, 0.0)
        torch.testing.assert_close(score_BV[0].exp(), torch.tensor(want_V, dtype=torch.float64))


def test_what_needs_more_frames_than_there_are_is_impossible_whatever_the_padding():
    scores = all_scores(CtcPrefixes(random_log_prob(1, 9, 4), torch.tensor([2]), EOS), 2)
    assert scores[1,][0, 1].isneginf()  # a blank has no room between
    assert scores[1,][0, 2].isfinite()
    assert scores[1, 2][0].isneginf().tolist() == [True, True, True, False]
    assert scores[1, 1][0].isneginf().all()


@pytest.mark.parametrize("sharpness", [0.5, 8.0])
def test_scores_are_espnets_at_ragged_lengths_over_many_steps(sharpness):
    V, lengths_B = 7, torch.tensor([400, 31, 1])
    log_prob_BTV = random_log_prob(3, 400, V, sharpness=sharpness)
    prefixes = CtcPrefixes(log_prob_BTV, lengths_B, eos=V - 1)
    espnet = CTCPrefixScoreTH(log_prob_BTV.clone(), lengths_B, BLANK, V - 1)
    state, text_NL = None, torch.zeros(3, 1, dtype=torch.long)
    total = torch.zeros(3, 1, 1, dtype=torch.float64)
    row_B1 = torch.arange(3)[:, None]
    for step in range(12):
        gain_NV, state = espnet(text_NL, state)
        want_BHV = gain_NV.view(3, -1, V) + total
        got_BHV = prefixes.scores()
        is_possible = got_BHV.isfinite()
        # ESPnet's zero is 1e-10 of a logarithm.
        assert (want_BHV[~is_possible] < -1e9).all()
        torch.testing.assert_close(got_BHV[is_possible], want_BHV[is_possible])

        # The second hypothesis goes on twice, once with the token that it ended with.
        last = text_NL.view(3, -1, step + 1)[:, -1, -1]
        parent_BH = torch.full((3, 2), min(step, 1))
        token_BH = torch.stack([torch.full_like(last, 1 + step % 5), last.clamp_min(2)], 1)
        total = want_BHV[row_B1, parent_BH, token_BH][..., None]
        text_NL = text_NL.view(3, -1, step + 1)[row_B1, parent_BH]
        text_NL = torch.cat([text_NL, token_BH[..., None]], 2).flatten(0, 1)
        if step == 0:
            # ESPnet's own selection needs as many hypotheses as there were.
            parts = [espnet.index_select_state(state, token_BH[:, h : h + 1]) for h in range(2)]
            r, s = torch.stack([p[0] for p in parts], 3), torch.stack([p[1] for p in parts], 1)
            state = r.flatten(2), s.flatten(0, 1), 0, 0
        else:
            state = espnet.index_select_state(state, parent_BH * V + token_BH)
        prefixes.advance(parent_BH, token_BH)


def test_rows_that_are_kept_go_on_as_if_they_had_been_alone():
    log_prob_BTV, lengths = random_log_prob(3, 8, 4), [8, 3, 6]
    tokens = [torch.tensor([[1, 2]]), torch.tensor([[2, 1]])]
    together = CtcPrefixes(log_prob_BTV, torch.tensor(lengths), EOS)
    together.scores()
    together.advance(torch.zeros(3, 2, dtype=torch.long), tokens[0].expand(3, 2))
    together.keep(torch.tensor([2, 1]))
    together.advance(torch.tensor([[1, 0]] * 2), tokens[1].expand(2, 2))
    for row, of_row in zip([2, 1], together.scores(), strict=True):
        alone = log_prob_BTV[row : row + 1, : lengths[row]], torch.tensor([lengths[row]])
        prefixes = CtcPrefixes(*alone, EOS)
        prefixes.advance(torch.zeros(1, 2, dtype=torch.long), tokens[0])
        prefixes.advance(torch.tensor([[1, 0]]), tokens[1])
        torch.testing.assert_close(of_row, prefixes.scores()[0])
