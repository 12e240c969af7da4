"""Vocabularies: round trips, order, and errors."""

import pickle

import pytest

from aio_toolkit.errors import AioError
from aio_toolkit.text import Vocabulary, train_sentencepiece


@pytest.mark.parametrize("text", ["red cat sees dog", "chien", "blue blue blue"])
def test_text_survives_encoding(vocabulary, text):
    assert vocabulary.decode(vocabulary.encode(text)) == text


def test_special_tokens_have_their_places(vocabulary):
    assert vocabulary.tokens[0] == "<blank>"
    assert vocabulary.tokens[1] == "<unk>"
    assert vocabulary.tokens[-3:] == ("<asr>", "<st>", "<eos>")
    ids = [0, vocabulary.start("st"), *vocabulary.encode("cat"), vocabulary.eos]
    assert vocabulary.decode(ids) == "cat"


def test_every_task_has_a_start_token_of_its_own(vocabulary):
    tokens = [vocabulary.tokens[vocabulary.start(task)] for task in ("st", "asr")]
    assert tokens == ["<st>", "<asr>"]


def test_survives_pickling(vocabulary):
    vocabulary.encode("red")
    copy = pickle.loads(pickle.dumps(vocabulary))
    assert copy == vocabulary
    assert copy.encode("red cat") == vocabulary.encode("red cat")


def make(*sentences: str, vocab_size: int = 10, tasks: tuple[str, ...] = ("asr",)) -> Vocabulary:
    return Vocabulary.of_model(train_sentencepiece(sentences, vocab_size), tasks)


def test_reads_back_what_was_saved(tmp_path):
    made = make("a b c", "l'été à noël", vocab_size=20)
    made.save(tmp_path)
    assert Vocabulary.load(tmp_path) == made
    assert made.decode(made.encode("l'été")) == "l'été"


def test_pieces_may_hold_what_ends_a_line_elsewhere(tmp_path):
    made = make("a b\x85c", "d\u2028e", vocab_size=12)
    assert any("\x85" in token for token in made.tokens)
    made.save(tmp_path)
    assert Vocabulary.load(tmp_path) == made


@pytest.mark.parametrize(
    ("name", "content"),
    [("bpe.model", b""), ("bpe.model", b"\x0a\x05"), ("tokens.txt", b"<blank>\n\xe9\n")],
)
def test_a_damaged_file_is_told_with_the_stage_that_makes_it(tmp_path, name, content):
    make("a b c", vocab_size=8).save(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AioError, match=r"Delete both and run stage 2 again"):
        Vocabulary.load(tmp_path)


def test_letters_without_a_piece_are_lacking():
    assert make("a b c", vocab_size=8).lacking("abxc\u00e9") == {"x", "\u00e9"}


# --- tasks come and go ---


@pytest.mark.parametrize("tasks", [(), ("asr",), ("asr", "st", "sum", "qa")])
def test_every_piece_is_decoded_whatever_the_number_of_tasks(tasks):
    """Start tokens are counted in the vocabulary at hand, not among today's tasks."""
    vocabulary = make("a b c d e", tasks=tasks)
    assert len(vocabulary) == 1 + 10 + len(tasks) + 1
    last_piece = vocabulary.num_pieces
    assert vocabulary.tokens[last_piece] not in ("<asr>", "<eos>")
    assert vocabulary.decode([last_piece]) == vocabulary.tokens[last_piece].replace("▁", "")
    assert vocabulary.decode(vocabulary.encode("e d c")) == "e d c"


def test_a_vocabulary_is_read_as_it_is_however_many_tasks_there_are_by_now(tmp_path):
    old = make("a b c d e", tasks=("asr",))
    old.save(tmp_path)
    assert Vocabulary.load(tmp_path).tokens == old.tokens


def test_a_task_that_the_vocabulary_was_made_without_is_named():
    with pytest.raises(AioError, match="made without task 'st'. Delete .* run stage 2 again"):
        make("a b c d e").start("st")


# --- errors ---


def test_token_list_of_another_model_is_refused(tmp_path):
    make("a b c d e").save(tmp_path)
    (tmp_path / "tokens.txt").write_text("<blank>\nx\n")
    with pytest.raises(AioError, match="tokens.txt does not match .*bpe.model"):
        Vocabulary.load(tmp_path)


@pytest.mark.parametrize("end", [("asr", "<eos>"), ("<asr>",), ("<asr>", "<st>")])
def test_a_list_that_does_not_end_in_start_tokens_and_the_end_is_refused(tmp_path, end):
    vocabulary = make("a b c d e")
    vocabulary.save(tmp_path)
    lines = [*vocabulary.tokens[:-2], *end]
    (tmp_path / "tokens.txt").write_text("\n".join(lines) + "\n")
    with pytest.raises(AioError, match="does not match"):
        Vocabulary.load(tmp_path)


@pytest.mark.parametrize("name", ["bpe.model", "tokens.txt"])
def test_a_missing_file_is_named_with_its_stage(tmp_path, name):
    make("a b c d e").save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(AioError, match=f"{name} does not exist. Run stage 2"):
        Vocabulary.load(tmp_path)


def test_impossible_size_names_the_option():
    with pytest.raises(AioError, match="--vocab_size 5000"):
        train_sentencepiece(["a b c"], 5000)


@pytest.mark.parametrize("sentences", [[], ["", ""]])
def test_no_text_is_an_error(sentences):
    with pytest.raises(AioError, match="no text"):
        train_sentencepiece(sentences, 10)
