"""Beam search against the scores of all sentences, on a vocabulary of two letters."""

import itertools
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from aio_toolkit.decoding.config import TextConfig
from aio_toolkit.decoding.text import build_search, decode_text
from aio_toolkit.heads.text import TextHead
from aio_toolkit.text import Vocabulary

WIDTH, LIMIT = 8, 5
START, EOS = {"asr": 3, "st": 4}, 5


class Letters(Vocabulary):
    """Spells every token as one letter; no SentencePiece behind it."""

    def decode(self, ids) -> str:
        return "".join("-abxy."[i] for i in ids if i != EOS)


LETTERS = Letters(("<blank>", "a", "b", "<asr>", "<st>", "<eos>"), b"")


def make_head() -> TextHead:
    torch.manual_seed(6)
    config = TextHead.Config(num_layers=1, num_heads=2, hidden=12)
    head = TextHead(config, WIDTH, LETTERS, ["asr", "st"]).eval()
    # Sharp enough for attention and CTC to prefer different sentences.
    for parameter in head.parameters():
        parameter.data *= 3
    return head


def random_frames(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(6)
    return torch.randn(*shape, WIDTH, generator=generator)


def attention_scores(head: TextHead, h_TD: torch.Tensor, task: str, text_NL) -> torch.Tensor:
    """Log probability (N,) of N sentences of one length, their ends included."""
    N, L = text_NL.shape
    read_NL = F.pad(text_NL, (1, 0), value=START[task])
    frames = h_TD.expand(N, -1, -1), torch.full((N,), len(h_TD))
    logit_NLV, _ = head.decoder(*frames, read_NL, torch.full((N,), L + 1))
    answer_NL1 = F.pad(text_NL, (0, 1), value=EOS)[..., None]
    return logit_NLV.log_softmax(-1).gather(2, answer_NL1).sum((1, 2))


def ctc_scores(head: TextHead, h_TD: torch.Tensor, task: str, text_NL) -> torch.Tensor:
    N, L = text_NL.shape
    log_prob_TV = head.ctc[task].ctc_lo(h_TD).log_softmax(-1)
    log_prob_TNV = log_prob_TV[:, None].expand(-1, N, -1)
    sizes = torch.full((N,), len(h_TD)), torch.full((N,), L)
    return -F.ctc_loss(log_prob_TNV, text_NL, *sizes, reduction="none")


def all_scores(head: TextHead, h_TD: torch.Tensor, task: str, config: TextConfig) -> dict:
    """Weighted score of every sentence below the limit; blank and end are no part of one."""
    scores = {}
    for length in range(LIMIT):
        sentences = list(itertools.product((1, 2, 3, 4), repeat=length))
        text_NL = torch.tensor(sentences, dtype=torch.long)
        attention_N = attention_scores(head, h_TD, task, text_NL)
        ctc_N = ctc_scores(head, h_TD, task, text_NL)
        mixed_N = (1 - config.ctc_weight) * attention_N + config.ctc_weight * ctc_N
        mixed_N = mixed_N + config.length_bonus * (length + 1)
        scores |= dict(zip(sentences, mixed_N.tolist(), strict=True))
    return scores


@pytest.mark.parametrize("task", ["asr", "st"])
@pytest.mark.parametrize(
    ("ctc_weight", "length_bonus"), [(0.0, -1.0), (0.3, 0.0), (0.6, 0.0), (0.6, 1.0), (1.0, 0.0)]
)
@torch.inference_mode()
def test_the_best_of_all_sentences_is_found_with_its_score(task, ctc_weight, length_bonus):
    config = TextConfig(beam_size=5, ctc_weight=ctc_weight, length_bonus=length_bonus)
    head, h_TD = make_head(), random_frames(LIMIT)
    scores = all_scores(head, h_TD, task, config)
    search = build_search(head, LETTERS, task, config)
    best = search(h_TD[None], maxlenratio=-LIMIT, x_lengths=torch.tensor([LIMIT]))[0][0]
    assert best.score.item() == pytest.approx(max(scores.values()), abs=1e-4)
    found = best.yseq.tolist()
    assert tuple(found[1 : found.index(EOS)]) == max(scores, key=scores.get)


@torch.inference_mode()
def test_rows_of_a_padded_batch_are_answered_one_by_one_and_in_order():
    config = TextConfig(beam_size=5, ctc_weight=0.9, max_length_ratio=1.0)
    head, h_BTD, lengths = make_head(), 2 * random_frames(3, LIMIT), [5, 3, 4]
    want = []
    for h_TD, length in zip(h_BTD, lengths, strict=True):
        scores = all_scores(head, h_TD[:length], "asr", config)
        want.append(LETTERS.decode(max(scores, key=scores.get)))
        h_TD[length:] = 9.0
    assert len(set(want)) == 3, "the example shall have three answers"
    search = build_search(head, LETTERS, "asr", config)
    assert decode_text(search, LETTERS, h_BTD, torch.tensor(lengths), config) == want


@pytest.mark.parametrize(("ratio", "tokens"), [(0.31, 3), (0.8, 8), (0.01, 1)])
@torch.inference_mode()
def test_an_answer_without_end_is_cut_at_the_greatest_share_of_the_frames(ratio, tokens):
    config = TextConfig(beam_size=2, ctc_weight=0.0, max_length_ratio=ratio)
    head = make_head()
    torch.nn.init.zeros_(head.decoder.output_layer.weight)
    head.decoder.output_layer.bias.data = torch.tensor([0.0, 9.0, 0.0, 0.0, 0.0, -99.0])
    search = build_search(head, LETTERS, "asr", config)
    h_BTD = random_frames(1, 10)
    assert decode_text(search, LETTERS, h_BTD, torch.tensor([10]), config) == ["a" * tokens]


def test_a_search_that_ends_without_a_hypothesis_gives_an_empty_sentence():
    found = SimpleNamespace(yseq=torch.tensor([START["asr"], 2, 1, EOS]))

    def search(h_BTD, **options):
        return [[], [found]]

    h_BTD, lengths_B = random_frames(2, 4), torch.tensor([4, 4])
    assert decode_text(search, LETTERS, h_BTD, lengths_B, TextConfig()) == ["", "ba"]


@pytest.fixture(scope="module")
def trained(vocabulary):
    """A head that has learnt which sentence each of three inputs means, in two languages."""
    torch.manual_seed(0)
    sentences = {
        "asr": ["red cat", "blue dog sees", "cat"],
        "st": ["chat", "chien voit", "entend chat dog"],
    }
    config = TextHead.Config(num_layers=1, num_heads=2, hidden=32)
    head = TextHead(config, 16, vocabulary, ["asr", "st"])
    # Three inputs of different length; every frame has its own direction, so that CTC can place
    # tokens.
    position_TD = 2 * torch.randn(40, 16)
    h_BTD = torch.stack([position_TD + 2 * torch.randn(16) for _ in range(3)])
    lengths_B = torch.tensor([40, 31, 25])
    targets = {}
    for task, lines in sentences.items():
        ids = [torch.tensor(vocabulary.encode(line)) for line in lines]
        targets[task] = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=-1)
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    for _ in range(500):
        optimizer.zero_grad()
        losses = [head.loss(h_BTD, lengths_B, target, task) for task, target in targets.items()]
        sum(loss.total for loss in losses).backward()
        optimizer.step()
    return head.eval(), h_BTD, lengths_B, sentences


@pytest.mark.slow
@pytest.mark.parametrize("ctc_weight", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("task", ["asr", "st"])
def test_beam_search_finds_what_was_learnt(trained, vocabulary, task, ctc_weight):
    head, h_BTD, lengths_B, sentences = trained
    config = TextConfig(beam_size=3, ctc_weight=ctc_weight, max_length_ratio=0.6)
    search = build_search(head, vocabulary, task, config)
    with torch.inference_mode():
        assert decode_text(search, vocabulary, h_BTD, lengths_B, config) == sentences[task]
