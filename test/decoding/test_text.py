"""Search for text against the scores of all sentences, and against ESPnet's."""

import itertools
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from tiny import ALL, named

from aio_toolkit.answers.text import TextUnits
from aio_toolkit.config import from_values, load_config
from aio_toolkit.decoding.text import Hypothesis, TextDecoder
from aio_toolkit.errors import AioError
from aio_toolkit.heads.base import Frames
from aio_toolkit.heads.text import TextHead
from aio_toolkit.text import Vocabulary

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "utils/bench"))

from bench_text import EspnetSearch  # noqa: E402

WIDTH, LIMIT = 8, 5
START, EOS = {"asr": 3, "st": 4}, 5


class Letters(Vocabulary):
    """Spells every token as one sign; no SentencePiece behind it."""

    def decode(self, ids) -> str:
        return "".join(self.tokens[i][0] for i in ids if i != self.eos)


LETTERS = TextUnits(Letters(("<blank>", "a", "b", "<asr>", "<st>", "<eos>"), b""))


# So many that not all are candidates of a step.
SIGNS = TextUnits(Letters(("<blank>", *map(chr, range(65, 95)), "<asr>", "<st>", "<eos>"), b""))


def make_head(seed: int = 6, units: TextUnits = LETTERS, num_layers: int = 1) -> TextHead:
    torch.manual_seed(seed)
    config = TextHead.Config(num_layers=num_layers, num_heads=2, ffn_width=12)
    head = TextHead(config, WIDTH, named("asr", "st"), units).eval()
    # Sharp enough for attention and CTC to prefer different sentences.
    for parameter in head.parameters():
        parameter.data *= 3
    return head


def random_frames(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(6)
    return torch.randn(*shape, WIDTH, generator=generator)


def frames_of(h_BTD: torch.Tensor, lengths: list[int], task: str = "asr") -> Frames:
    """Rows of a batch; their features are not read."""
    lengths_B = torch.tensor(lengths)
    wave_BS = torch.zeros(len(lengths), 320 * h_BTD.shape[1])
    return Frames(h_BTD, lengths_B, ALL[task], wave_BS, 320 * lengths_B)


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


def all_scores(head: TextHead, h_TD: torch.Tensor, task: str, config: TextDecoder.Config) -> dict:
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
    options = {"ctc_weight": ctc_weight, "length_bonus": length_bonus, "max_length_ratio": 1.0}
    config = TextDecoder.Config(beam_size=5, **options)
    head, h_TD = make_head(), random_frames(LIMIT)
    scores = all_scores(head, h_TD, task, config)
    best = TextDecoder(config, head, LETTERS).search(frames_of(h_TD[None], [LIMIT], task))[0][0]
    assert best.score == pytest.approx(max(scores.values()), abs=1e-4)
    assert best.text == LETTERS.vocabulary.decode(max(scores, key=scores.get))


@torch.inference_mode()
def test_rows_of_a_padded_batch_are_answered_one_by_one_and_in_order():
    config = TextDecoder.Config(beam_size=5, ctc_weight=0.9, max_length_ratio=1.0)
    head, h_BTD, lengths = make_head(), 2 * random_frames(3, LIMIT), [5, 3, 4]
    want = []
    for h_TD, length in zip(h_BTD, lengths, strict=True):
        scores = all_scores(head, h_TD[:length], "asr", config)
        want.append(LETTERS.vocabulary.decode(max(scores, key=scores.get)))
        h_TD[length:] = 9.0
    assert len(set(want)) == 3, "the example shall have three answers"
    decoder = TextDecoder(config, head, LETTERS)
    assert decoder.decode(frames_of(h_BTD, lengths)) == want


def make_endless_head() -> TextHead:
    """A head that says nothing but one letter and never ends."""
    head = make_head()
    torch.nn.init.zeros_(head.decoder.output_layer.weight)
    head.decoder.output_layer.bias.data = torch.tensor([0.0, 9.0, 0.0, 0.0, 0.0, -99.0])
    return head


@pytest.mark.parametrize(("ratio", "tokens"), [(0.31, 3), (0.8, 8), (0.01, 1)])
@torch.inference_mode()
def test_an_answer_without_end_is_cut_at_the_greatest_share_of_the_frames(ratio, tokens):
    config = TextDecoder.Config(beam_size=2, ctc_weight=0.0, max_length_ratio=ratio)
    decoder = TextDecoder(config, make_endless_head(), LETTERS)
    assert decoder.decode(frames_of(random_frames(1, 10), [10])) == ["a" * tokens]


@torch.inference_mode()
def test_the_share_is_of_a_row_s_own_frames_and_not_of_its_padding():
    config = TextDecoder.Config(beam_size=2, ctc_weight=0.0, max_length_ratio=0.5)
    decoder = TextDecoder(config, make_endless_head(), LETTERS)
    answers = decoder.decode(frames_of(random_frames(3, 10), [10, 3, 7]))
    assert answers == ["a" * 5, "a", "a" * 3]


@pytest.mark.parametrize("ctc_weight", [0.0, 0.4, 1.0])
@torch.inference_mode()
def test_a_row_of_a_batch_has_the_sentence_that_it_has_alone(ctc_weight):
    config = TextDecoder.Config(beam_size=3, ctc_weight=ctc_weight, max_length_ratio=0.7)
    decoder = TextDecoder(config, make_head(), LETTERS)
    h_BTD, lengths = 2 * random_frames(4, 11), [11, 4, 8, 5]
    together = decoder.decode(frames_of(h_BTD, lengths))
    assert len(set(together)) > 1
    for row, length in enumerate(lengths):
        alone = frames_of(h_BTD[row : row + 1, :length], [length])
        assert decoder.decode(alone) == [together[row]]


def hypotheses_of(decoder: TextDecoder, h_TD: torch.Tensor, task: str) -> list[Hypothesis]:
    (found,) = decoder.search(frames_of(h_TD[None], [len(h_TD)], task))
    return found


@pytest.mark.parametrize(
    ("ctc_weight", "length_bonus"), [(0.0, 0.0), (0.5, 0.0), (0.5, 0.7), (0.2, -0.3), (1.0, 0.3)]
)
@pytest.mark.parametrize(
    ("units", "beam_size"), [(LETTERS, 1), (LETTERS, 4), (SIGNS, 1), (SIGNS, 5)]
)
@torch.inference_mode()
def test_the_best_hypotheses_are_those_of_espnet_in_their_order(
    units, beam_size, ctc_weight, length_bonus
):
    options = {"ctc_weight": ctc_weight, "length_bonus": length_bonus, "max_length_ratio": 0.8}
    config = TextDecoder.Config(beam_size=beam_size, **options)
    for seed, frames in [(0, 1), (1, 2), (2, 17), (3, 24)]:
        decoder = TextDecoder(config, make_head(seed, units, num_layers=2), units)
        h_TD = random_frames(frames)
        got = hypotheses_of(decoder, h_TD, "st")
        (want,) = EspnetSearch(decoder).search(frames_of(h_TD[None], [frames], "st"))
        # ESPnet lists impossible ones too.
        want = [one for one in want if one.score > -1e8][:beam_size]
        assert [one.text for one in got] == [one.text for one in want]
        scores = [one.score for one in want]
        assert [one.score for one in got] == pytest.approx(scores, abs=1e-4)


@pytest.mark.parametrize("ctc_weight", [0.0, 0.4, 1.0])
@torch.inference_mode()
def test_rows_have_the_hypotheses_and_scores_that_they_have_alone(ctc_weight):
    config = TextDecoder.Config(beam_size=4, ctc_weight=ctc_weight, max_length_ratio=0.7)
    decoder = TextDecoder(config, make_head(units=SIGNS), SIGNS)
    h_BTD, lengths = 2 * random_frames(5, 23), [23, 1, 9, 15, 2]
    together = decoder.search(frames_of(h_BTD, lengths))
    assert [one[0].text for one in together] == decoder.decode(frames_of(h_BTD, lengths))
    for row, length in enumerate(lengths):
        alone = hypotheses_of(decoder, h_BTD[row, :length], "asr")
        assert [one.text for one in together[row]] == [one.text for one in alone]
        scores = [one.score for one in alone]
        assert [one.score for one in together[row]] == pytest.approx(scores, abs=1e-4)
        assert scores == sorted(scores, reverse=True)


@torch.inference_mode()
def test_frames_that_are_no_numbers_give_an_empty_sentence_and_harm_no_other_row():
    decoder = TextDecoder(TextDecoder.Config(), make_head(), LETTERS)
    h_BTD = random_frames(2, 9)
    (want,) = decoder.decode(frames_of(h_BTD[1:], [9]))
    h_BTD[0] = torch.nan
    assert decoder.search(frames_of(h_BTD, [9, 9]))[0] == []
    assert decoder.decode(frames_of(h_BTD, [9, 9])) == ["", want]


@torch.inference_mode()
def test_greedy_search_takes_the_path_of_the_task_s_own_ctc():
    config = load_config(TextDecoder.Config, None, ["search=greedy"])
    head, h_BTD = make_head(), random_frames(2, 9)
    for task in ("asr", "st"):
        log_prob_BTV = head.ctc[task].ctc_lo(h_BTD).log_softmax(2)
        found = TextDecoder(config, head, LETTERS).search(frames_of(h_BTD, [9, 4], task))
        for row, length in enumerate([9, 4]):
            best_T, path_T = log_prob_BTV[row, :length].max(1)
            ids = [token for token, _ in itertools.groupby(path_T.tolist()) if token != 0]
            (only,) = found[row]
            assert only.text == LETTERS.vocabulary.decode(ids)
            assert only.score == pytest.approx(best_T.sum().item(), abs=1e-5)


@pytest.mark.parametrize("options", [{"beam_size": 0}, {"ctc_weight": 1.01}, {"ctc_weight": -0.1}])
def test_an_option_out_of_its_range_is_told_with_its_name_and_value(options):
    ((name, value),) = options.items()
    with pytest.raises(AioError, match=rf"decode: key '{name}' must be .*, not {value}\."):
        from_values(TextDecoder.Config, options, "decode")


@pytest.fixture(scope="module")
def trained(vocabulary):
    """A head that has learnt which sentence each of three inputs means, in two languages."""
    torch.manual_seed(0)
    sentences = {
        "asr": ["red cat", "blue dog sees", "cat"],
        "st": ["chat", "chien voit", "entend chat dog"],
    }
    config = TextHead.Config(num_layers=1, num_heads=2, ffn_width=32)
    head = TextHead(config, 16, named("asr", "st"), TextUnits(vocabulary))
    # Three inputs of different length; every frame has its own direction, so that CTC can place
    # tokens.
    position_TD = 2 * torch.randn(40, 16)
    h_BTD = torch.stack([position_TD + 2 * torch.randn(16) for _ in range(3)])
    lengths = [40, 31, 25]
    targets = {}
    for task, lines in sentences.items():
        ids = [torch.tensor(vocabulary.encode(line)) for line in lines]
        targets[task] = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=-1)
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    for _ in range(500):
        optimizer.zero_grad()
        losses = [
            head.loss(frames_of(h_BTD, lengths, task), target) for task, target in targets.items()
        ]
        sum(loss.total for loss in losses).backward()
        optimizer.step()
    return head.eval(), h_BTD, lengths, sentences


@pytest.mark.slow
@pytest.mark.parametrize("ctc_weight", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("task", ["asr", "st"])
def test_beam_search_finds_what_was_learnt(trained, vocabulary, task, ctc_weight):
    head, h_BTD, lengths, sentences = trained
    config = TextDecoder.Config(beam_size=3, ctc_weight=ctc_weight, max_length_ratio=0.6)
    decoder = TextDecoder(config, head, TextUnits(vocabulary))
    with torch.inference_mode():
        assert decoder.decode(frames_of(h_BTD, lengths, task)) == sentences[task]
