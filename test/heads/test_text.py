"""The text head and its beam search."""

import pytest
import torch

from aio_toolkit.decoding.config import TextConfig
from aio_toolkit.decoding.text import build_search, decode_text
from aio_toolkit.heads.text import TextHead


@pytest.fixture(scope="module")
def trained(vocabulary):
    """A head that has learnt which of three inputs means which sentence; one task says it in capital order."""
    torch.manual_seed(0)
    sentences = {"asr": ["red cat", "blue dog sees", "cat"], "st": ["chat", "chien voit", "entend chat dog"]}
    head = TextHead(TextHead.Config(num_layers=1, num_heads=2, hidden=32), 16, vocabulary, ["asr", "st"])
    # Three inputs of different length; every frame has its own direction, so that CTC can place tokens.
    position = 2 * torch.randn(40, 16)
    h_BTD = torch.stack([position + 2 * torch.randn(16) for _ in range(3)])
    lengths_B = torch.tensor([40, 31, 25])
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    targets = {}
    for task, lines in sentences.items():
        ids = [vocabulary.encode(line) for line in lines]
        targets[task] = torch.full((3, max(map(len, ids))), -1)
        for row, tokens in zip(targets[task], ids, strict=True):
            row[: len(tokens)] = torch.tensor(tokens)
    for _ in range(500):
        optimizer.zero_grad()
        sum(head.loss(h_BTD, lengths_B, targets[task], task).total for task in targets).backward()
        optimizer.step()
    return head.eval(), h_BTD, lengths_B, sentences, targets


@pytest.mark.parametrize("ctc_weight", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("task", ["asr", "st"])
def test_beam_search_finds_what_was_learnt(trained, vocabulary, task, ctc_weight):
    head, h_BTD, lengths_B, sentences, _ = trained
    config = TextConfig(beam_size=3, ctc_weight=ctc_weight, max_length_ratio=0.6)
    search = build_search(head, vocabulary, task, config)
    with torch.inference_mode():
        assert decode_text(search, vocabulary, h_BTD, lengths_B, config) == sentences[task]


def test_padding_does_not_change_the_loss(trained):
    head, h_BTD, lengths_B, _, targets = trained
    whole = head.loss(h_BTD, lengths_B, targets["asr"], "asr")
    padded_h = torch.cat([h_BTD, torch.randn(3, 6, 16) * 9], 1)
    padded_target = torch.cat([targets["asr"], torch.full((3, 4), -1)], 1)
    padded = head.loss(padded_h, lengths_B, padded_target, "asr")
    torch.testing.assert_close(padded.total, whole.total, atol=1e-4, rtol=1e-4)


def test_more_tokens_than_frames_is_not_infinite(trained):
    head, h_BTD, _, _, _ = trained
    loss = head.loss(h_BTD[:1, :2], torch.tensor([2]), torch.randint(1, 20, (1, 9)), "asr")
    assert torch.isfinite(loss.total)
