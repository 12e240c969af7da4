"""The text head's losses against a forward algorithm, a loop over tokens and closed forms."""

import math

import pytest
import torch
from tiny import ALL

from aio_toolkit.answers.text import TextUnits
from aio_toolkit.errors import AioError
from aio_toolkit.heads.base import Frames
from aio_toolkit.heads.text import TextHead
from aio_toolkit.loss import Loss
from aio_toolkit.text import Vocabulary

WIDTH = 8
LETTERS = Vocabulary(("<blank>", "a", "b", "c", "<asr>", "<st>", "<eos>"), b"")
V, EOS = len(LETTERS), 6
START = {"asr": 4, "st": 5}
# Rows of different length, with a letter that follows itself: CTC needs a blank in between.
TARGET_BL = torch.tensor([[1, 2, 3, 3, 1], [2, 2, -1, -1, -1], [3, -1, -1, -1, -1]])
SENTENCES = [[1, 2, 3, 3, 1], [2, 2], [3]]
LENGTHS = [9, 7, 4]


def make_head(**options) -> TextHead:
    torch.manual_seed(0)
    config = TextHead.Config(num_layers=1, num_heads=2, ffn_width=12, **options)
    head = TextHead(config, WIDTH, [ALL["asr"], ALL["st"]], TextUnits(LETTERS))
    # Sharper than at the start, so that which token is told matters.
    for parameter in head.parameters():
        parameter.data *= 3
    return head


def loss_of(head: TextHead, task: str = "asr") -> Loss:
    return loss_on(head, frames(), LENGTHS, TARGET_BL, task)


def loss_on(head: TextHead, h_BTD, lengths: list[int], target_BL, task: str = "asr") -> Loss:
    """The wave is nothing to this head."""
    lengths_B = torch.tensor(lengths)
    wave_BS = torch.full((len(h_BTD), h_BTD.shape[1] * 320), torch.nan)
    frames = Frames(h_BTD, lengths_B, ALL[task], wave_BS, lengths_B * 320)
    return head.loss(frames, target_BL)


def frames() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, 9, WIDTH, generator=generator)


def biased_head(probability_V: list[float], **options) -> TextHead:
    """The decoder gives the tokens these probabilities, whatever it has read."""
    head = make_head(**options)
    torch.nn.init.zeros_(head.decoder.output_layer.weight)
    head.decoder.output_layer.bias.data = torch.tensor(probability_V).log()
    return head


# --- CTC ---


def slow_ctc(log_prob_TV: torch.Tensor, sentence: list[int]) -> float:
    """The negative log probability by the forward algorithm of Graves et al. 2006, section 4.1."""
    extended = [0]
    for token in sentence:
        extended += [token, 0]
    probability_TV = log_prob_TV.detach().double().exp()
    alpha = [0.0] * len(extended)
    alpha[0], alpha[1] = probability_TV[0, 0], probability_TV[0, extended[1]]
    for probability_V in probability_TV[1:]:
        before = [0.0, 0.0, *alpha]
        for s, token in enumerate(extended):
            alpha[s] = before[s + 2] + before[s + 1]
            if token != 0 and s > 1 and token != extended[s - 2]:
                alpha[s] += before[s]
            alpha[s] *= probability_V[token]
    return -math.log(alpha[-1] + alpha[-2])


@pytest.mark.parametrize("task", ["asr", "st"])
def test_ctc_sums_over_utterances_and_divides_by_their_tokens(task):
    head = make_head()
    total = 0.0
    for h_TD, length, sentence in zip(frames(), LENGTHS, SENTENCES, strict=True):
        logit_TV = head.ctc[task].ctc_lo(h_TD[:length])
        total += slow_ctc(logit_TV.log_softmax(-1), sentence)
    want = total / (5 + 2 + 1)
    assert loss_of(head, task).figures["ctc"].item() == pytest.approx(want, rel=1e-5)


def test_silence_is_answered_by_blanks_alone_and_the_end_of_sentence():
    """Of a batch of nothing else there is no token to divide by."""
    head, h_BTD = make_head(label_smoothing=0.0), frames()[:2]
    loss = loss_on(head, h_BTD, [9, 4], torch.full((2, 3), -1))
    log_prob_BTV = head.ctc["asr"].ctc_lo(h_BTD).log_softmax(-1)
    blanks = log_prob_BTV[0, :, 0].sum() + log_prob_BTV[1, :4, 0].sum()
    assert loss.figures["ctc"].item() == pytest.approx(-blanks.item(), rel=1e-5)

    head = biased_head([0.1] * (V - 1) + [0.4], label_smoothing=0.0)
    loss = loss_on(head, h_BTD, [9, 4], torch.full((2, 3), -1))
    assert loss.figures["attention"].item() == pytest.approx(-math.log(0.4), rel=1e-5)
    assert loss.total.isfinite()


def test_an_utterance_with_more_tokens_than_frames_adds_nothing_to_ctc():
    head, h_BTD = make_head(), frames()
    target_BL = torch.tensor([[1, 2, 3], [1, 2, -1]])
    loss = loss_on(head, h_BTD[:2, :2], [2, 2], target_BL)
    log_prob_TV = head.ctc["asr"].ctc_lo(h_BTD[1, :2]).log_softmax(-1)
    want = slow_ctc(log_prob_TV, [1, 2]) / 5
    assert loss.figures["ctc"].item() == pytest.approx(want, rel=1e-5)


# --- attention ---


def slow_attention(head: TextHead, task: str, smoothing: float) -> tuple[float, float]:
    """Loss and accuracy, utterance by utterance and token by token."""
    costs, hits = [], []
    for h_TD, length, sentence in zip(frames(), LENGTHS, SENTENCES, strict=True):
        read_1L = torch.tensor([[START[task], *sentence]])
        lengths = torch.tensor([length]), torch.tensor([len(sentence) + 1])
        logit_1LV, _ = head.decoder(h_TD[None, :length], lengths[0], read_1L, lengths[1])
        log_prob_LV = logit_1LV[0].log_softmax(-1)
        for log_prob_V, token in zip(log_prob_LV, [*sentence, EOS], strict=True):
            spread = -log_prob_V.mean().item()
            costs.append((1 - smoothing) * -log_prob_V[token].item() + smoothing * spread)
            hits.append(log_prob_V.argmax().item() == token)
    return sum(costs) / len(costs), sum(hits) / len(hits)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("task", ["asr", "st"])
def test_attention_equals_a_loop_over_tokens_after_the_start_token_of_the_task(task, smoothing):
    head = make_head(label_smoothing=smoothing)
    cost, accuracy = slow_attention(head, task, smoothing)
    figures = loss_of(head, task).figures
    assert figures["attention"].item() == pytest.approx(cost, rel=1e-5)
    assert figures["token_accuracy"].item() == pytest.approx(accuracy)


def test_the_tasks_read_different_start_tokens():
    head = make_head()
    first, second = (loss_of(head, task).figures["attention"] for task in ("asr", "st"))
    assert abs(first - second) > 1e-2


def test_label_smoothing_mixes_the_label_with_an_even_distribution():
    probability_V = [0.05, 0.3, 0.2, 0.1, 0.05, 0.05, 0.25]
    # 8 letters and 3 ends of sentence: a twice, b three times, c three times.
    surprise = [-math.log(p) for p in probability_V]
    label = (2 * surprise[1] + 3 * surprise[2] + 3 * surprise[3] + 3 * surprise[6]) / 11
    even = sum(surprise) / 7
    head = biased_head(probability_V, label_smoothing=0.2)
    attention = loss_of(head).figures["attention"].item()
    assert attention == pytest.approx(0.8 * label + 0.2 * even, rel=1e-5)


def test_token_accuracy_counts_the_end_of_sentence_and_no_padding():
    always_a = biased_head([0.1, 0.4, 0.1, 0.1, 0.1, 0.1, 0.1])
    assert loss_of(always_a).figures["token_accuracy"].item() == pytest.approx(2 / 11)
    always_end = biased_head([0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.4])
    assert loss_of(always_end).figures["token_accuracy"].item() == pytest.approx(3 / 11)


# --- both ---


@pytest.mark.parametrize("ctc_weight", [0.0, 0.3, 1.0])
def test_the_loss_is_a_mean_of_both_in_which_ctc_has_its_weight(ctc_weight):
    loss = loss_of(make_head(ctc_weight=ctc_weight))
    ctc, attention = loss.figures["ctc"], loss.figures["attention"]
    assert abs(ctc - attention) > 0.1
    torch.testing.assert_close(loss.total, ctc_weight * ctc + (1 - ctc_weight) * attention)


def test_padding_does_not_change_the_loss():
    head, h_BTD = make_head(), frames()
    padded_h = torch.cat([h_BTD, torch.randn(3, 6, WIDTH) * 9], 1)
    padded_target = torch.cat([TARGET_BL, torch.full((3, 4), -1)], 1)
    padded = loss_on(head, padded_h, LENGTHS, padded_target)
    torch.testing.assert_close(padded.total, loss_of(head).total, atol=1e-5, rtol=1e-5)


def test_more_tokens_than_frames_is_not_infinite():
    target_BL = torch.randint(1, 4, (1, 9))
    loss = loss_on(make_head(), frames()[:1, :2], [2], target_BL)
    assert torch.isfinite(loss.total)


def test_half_precision_outside_does_not_reach_the_head():
    head = make_head()
    with torch.autocast("cpu", torch.bfloat16):
        inside = loss_of(head).total
    assert torch.equal(inside, loss_of(head).total)


def test_losses_reach_frames_and_figures_do_not():
    h_BTD = frames().requires_grad_()
    loss = loss_on(make_head(), h_BTD, LENGTHS, TARGET_BL)
    loss.total.backward()
    assert (h_BTD.grad[0].abs().sum(-1) > 0).all()
    assert (h_BTD.grad[2, 4:] == 0).all()
    assert not any(figure.requires_grad for figure in loss.figures.values())


def test_keeping_one_task_keeps_its_loss_and_forgets_the_other():
    head = make_head()
    want = loss_of(head, "st").total
    head.keep(ALL["st"])
    assert torch.equal(loss_of(head, "st").total, want)
    assert list(head.ctc) == ["st"] and list(head.start) == ["st"]


def test_a_new_task_trains_its_start_token_and_no_other_row():
    head = make_head()
    head.keep(ALL["st"])
    own = head.add_task(ALL["asr"])
    loss_of(head, "asr").total.backward()
    embedding = head.decoder.embed[0].weight
    assert any(parameter is embedding for parameter in own)
    moved_V = embedding.grad.abs().sum(1) > 0
    assert moved_V.nonzero().flatten().tolist() == [START["asr"]]


def test_a_task_that_the_vocabulary_was_made_without_is_named():
    with pytest.raises(AioError, match="the text units were made without task 'sep'"):
        TextHead(TextHead.Config(num_layers=1), WIDTH, [ALL["sep"]], TextUnits(LETTERS))
