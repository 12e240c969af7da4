"""The decoder token by token against the same decoder over whole sentences."""

import pytest
import torch
from espnet2.asr.decoder.transformer_decoder import TransformerDecoder

from aio_toolkit.decoding.attention_steps import AttentionSteps

V, D, START = 9, 12, 7


@pytest.fixture(scope="module")
def decoder():
    torch.manual_seed(0)
    options = {"num_blocks": 3, "linear_units": 10, "use_flash_attn": False}
    made = TransformerDecoder(V, D, attention_heads=3, **options).eval()
    for parameter in made.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return made


def whole(decoder, h_TD: torch.Tensor, ids: list[int]) -> torch.Tensor:
    """Log probability (V,) of a sentence and each token behind it, the sentence read as one."""
    read_1L = torch.tensor([[START, *ids]])
    lengths = torch.tensor([len(h_TD)]), read_1L, torch.tensor([len(ids) + 1])
    logit_1LV, _ = decoder(h_TD[None], *lengths)
    log_prob_LV = logit_1LV[0].log_softmax(1)
    said = sum(log_prob_LV[place, token] for place, token in enumerate(ids))
    return said + log_prob_LV[-1]


@torch.inference_mode()
def test_steps_give_what_whole_sentences_do_though_rows_leave_and_hypotheses_change(decoder):
    generator = torch.Generator().manual_seed(1)
    h_BTD, lengths = torch.randn(4, 11, D, generator=generator), [11, 1, 6, 9]
    steps = AttentionSteps(decoder, h_BTD, torch.tensor(lengths), START)
    rows, ids = [0, 1, 2, 3], [[[]] for _ in range(4)]
    for step, kept in enumerate([[0, 1, 2, 3], [3, 0, 1], [0, 2], [1, 0], [0]]):
        score_BHV = steps.scores()
        for b, row in enumerate(rows):
            for h, sentence in enumerate(ids[b]):
                want_V = whole(decoder, h_BTD[row, : lengths[row]], sentence)
                torch.testing.assert_close(score_BHV[b, h], want_V, atol=1e-4, rtol=0)
        steps.keep(torch.tensor(kept))
        rows, ids = [rows[b] for b in kept], [ids[b] for b in kept]
        shape, H = (len(kept), 3 + step % 2), len(ids[0])
        parent_BH = torch.randint(H, shape, generator=generator)
        token_BH = torch.randint(V, shape, generator=generator)
        steps.advance(parent_BH, token_BH)
        ids = [
            [[*ids[b][p], t] for p, t in zip(*pair, strict=True)]
            for b, pair in enumerate(zip(parent_BH.tolist(), token_BH.tolist(), strict=True))
        ]


@torch.inference_mode()
def test_padding_is_not_heard(decoder):
    h_BTD = torch.randn(1, 8, D)
    first = AttentionSteps(decoder, h_BTD, torch.tensor([5]), START).scores()
    h_BTD[0, 5:] = 50.0
    second = AttentionSteps(decoder, h_BTD, torch.tensor([5]), START).scores()
    assert torch.equal(first, second)


@torch.inference_mode()
def test_sentences_may_be_longer_than_the_table_of_positions(decoder):
    position = decoder.embed[1]
    table = position.pe
    position.pe = table[:, :2]
    try:
        steps = AttentionSteps(decoder, torch.ones(1, 4, D), torch.tensor([4]), START)
        zero_11 = torch.zeros(1, 1, dtype=torch.long)
        for step in range(4):
            score_V = steps.scores()[0, 0]
            want_V = whole(decoder, torch.ones(4, D), [1] * step)
            torch.testing.assert_close(score_V, want_V, atol=1e-4, rtol=0)
            steps.advance(zero_11, zero_11 + 1)
    finally:
        position.pe = table
