"""Times of words, against a slow search of the best path."""

import itertools

import pytest
import torch

from aio_toolkit.hub.formats import Word
from aio_toolkit.hub.words import align
from aio_toolkit.text import Vocabulary, train_sentencepiece

RATE = 50.0


@pytest.fixture(scope="module")
def letters() -> Vocabulary:
    """Pieces of one letter, most of them."""
    return Vocabulary.of_model(train_sentencepiece(["ab ba", "b a", "abba"], 7), ["asr"])


def peaks(vocabulary: Vocabulary, path: list[int]) -> torch.Tensor:
    """Log probabilities of a CTC that is sure of its path."""
    log_prob_TV = torch.full((len(path), len(vocabulary)), -10.0)
    log_prob_TV[range(len(path)), path] = 0.0
    return log_prob_TV


def test_a_word_lasts_from_its_first_token_to_its_last(vocabulary):
    sentence = "cat sees dog"
    words = [vocabulary.encode(word) for word in sentence.split()]
    path, wanted = [0, 0], []
    for number, ids in enumerate(words):
        start = len(path)
        for token in ids:
            path += [token, token, 0]
        wanted.append(Word(sentence.split()[number], start / RATE, (len(path) - 1) / RATE))
        path += [0] * number
    assert align(peaks(vocabulary, path), sentence, vocabulary, RATE) == wanted


def collapsed(path: tuple[int, ...]) -> list[int]:
    return [token for token, _ in itertools.groupby(path) if token]


def test_the_path_is_the_most_likely_of_all_that_say_the_sentence(letters):
    ids = letters.encode("ab")
    torch.manual_seed(0)
    for _ in range(5):
        log_prob_TV = torch.randn(5, len(letters)).log_softmax(-1)
        used = sorted({0, *ids})
        paths = [path for path in itertools.product(used, repeat=5) if collapsed(path) == ids]
        best = max(paths, key=lambda path: sum(log_prob_TV[t, v] for t, v in enumerate(path)))
        frames = [t for t, token in enumerate(best) if token]
        (word,) = align(log_prob_TV, "ab", letters, RATE)
        assert word == Word("ab", frames[0] / RATE, (frames[-1] + 1) / RATE)


def test_a_sentence_that_no_path_can_say_has_no_times(letters):
    ids = letters.encode("abba")
    few = len(ids) - 1
    assert align(peaks(letters, [0] * few), "abba", letters, RATE) == []
    assert align(peaks(letters, [0] * 9), "", letters, RATE) == []
