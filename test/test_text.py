"""Vocabularies: round trips, order, and errors."""

import pickle

import pytest

from aio_toolkit.errors import AioError
from aio_toolkit.text import Vocabulary, train_vocabulary


@pytest.mark.parametrize("text", ["red cat sees dog", "chien", "blue blue blue"])
def test_text_survives_encoding(vocabulary, text):
    assert vocabulary.decode(vocabulary.encode(text)) == text


def test_special_tokens_have_their_places(vocabulary):
    assert vocabulary.tokens[0] == "<blank>"
    assert vocabulary.tokens[1] == "<unk>"
    assert vocabulary.tokens[-3:] == ("<asr>", "<st>", "<eos>")
    assert vocabulary.decode([0, vocabulary.start("st"), *vocabulary.encode("cat"), vocabulary.eos]) == "cat"


def test_survives_pickling(vocabulary):
    vocabulary.encode("red")
    copy = pickle.loads(pickle.dumps(vocabulary))
    assert copy == vocabulary
    assert copy.encode("red cat") == vocabulary.encode("red cat")


def test_reads_back_what_training_wrote(tmp_path):
    made = train_vocabulary(["a b c", "l'été à noël"], 20, tmp_path)
    assert Vocabulary.load(tmp_path) == made
    assert made.decode(made.encode("l'été")) == "l'été"


def test_token_list_of_another_model_is_refused(tmp_path):
    train_vocabulary(["a b c d e"], 10, tmp_path)
    (tmp_path / "tokens.txt").write_text("<blank>\nx\n")
    with pytest.raises(AioError, match="does not match"):
        Vocabulary.load(tmp_path)


def test_impossible_size_names_the_option(tmp_path):
    with pytest.raises(AioError, match="--vocab_size 5000"):
        train_vocabulary(["a b c"], 5000, tmp_path)


def test_no_text_is_an_error(tmp_path):
    with pytest.raises(AioError, match="no text"):
        train_vocabulary([], 10, tmp_path)
