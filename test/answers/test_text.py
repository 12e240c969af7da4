"""Text: units, targets of training, and decoded sentences."""

import dataclasses

import numpy as np
import pytest
import torch
from tiny import ALL, codec_units, named

from aio_toolkit.answers import text
from aio_toolkit.answers.base import TargetSource
from aio_toolkit.answers.text import Text, TextReader, TextUnits
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.spans import Span
from aio_toolkit.errors import AioError
from aio_toolkit.text import Vocabulary, train_sentencepiece

KIND = Text()


def utterance(id: str, **answers: str) -> Utterance:
    task = ALL[id.split("-")[0]]
    return Utterance(id, task, "s", "none.wav", 100, answers)


# --- units ---


def test_units_survive_a_checkpoint(vocabulary, tmp_path):
    units = TextUnits(vocabulary)
    torch.save(units.state(), tmp_path / "model.pt")
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    again = TextUnits.from_state(state)
    assert again == units
    assert again.vocabulary.encode("red cat") == vocabulary.encode("red cat")


def test_units_with_the_same_tokens_are_the_same(vocabulary):
    again = Vocabulary(vocabulary.tokens, vocabulary.model)
    TextUnits(vocabulary).check_same(TextUnits(again), "here")


def test_units_with_other_tokens_are_refused(vocabulary):
    other = Vocabulary.of_model(vocabulary.model, ["asr", "st", "sum"])
    with pytest.raises(AioError, match="^here: the text units are not the same"):
        TextUnits(vocabulary).check_same(TextUnits(other), "here")


def test_units_of_another_kind_are_refused(vocabulary):
    with pytest.raises(AioError, match="^here: the text units are not the same"):
        TextUnits(vocabulary).check_same(codec_units(), "here")


SENTENCES = ["red cat", "blue dog sees", "cat hears dog", "chat noir"]


def transcripts(*sentences: str) -> list[Utterance]:
    return [utterance(f"asr-{i}", text=sentence) for i, sentence in enumerate(sentences)]


@pytest.fixture
def options() -> Text.Fit:
    return Text.Fit(vocab_size=25)


def test_units_know_every_task_whether_the_data_have_it_or_not(tmp_path, options):
    units = KIND.fit(named("asr", "st"), transcripts(*SENTENCES), options, tmp_path)
    assert units.vocabulary.tokens[-3:] == ("<asr>", "<st>", "<eos>")
    assert units.vocabulary.num_pieces == 25
    assert KIND.load_units(tmp_path) == units


def test_units_do_not_depend_on_the_order_of_the_data(tmp_path, options, monkeypatch):
    """Sentences are sorted: among pairs of pieces that are equally frequent, the order decides."""
    seen = []

    def train(sentences, vocab_size) -> bytes:
        seen.append(sentences)
        return train_sentencepiece(sentences, vocab_size)

    monkeypatch.setattr(text, "train_sentencepiece", train)
    for number, order in enumerate((SENTENCES, SENTENCES[::-1])):
        KIND.fit(named("asr"), transcripts(*order), options, tmp_path / str(number))
    assert seen == [sorted(SENTENCES)] * 2


def test_units_are_made_of_the_texts_of_all_languages(tmp_path, options):
    both = Utterance("st-0", ALL["st"], "s", "x.wav", 9, {"text": "xyz", "text.fr": "uvw"})
    units = KIND.fit(named("asr", "st"), [both, *transcripts(*SENTENCES)], options, tmp_path)
    for word in ("xyz", "uvw"):
        assert units.vocabulary.decode(units.vocabulary.encode(word)) == word


def test_answers_that_are_no_text_are_not_read_as_text(tmp_path, options):
    mixture = Utterance("enh-0", ALL["enh"], "s", "x.wav", 9, {"text": "cat", "speech": "q.wav"})
    units = KIND.fit(named("asr"), [mixture, *transcripts(*SENTENCES)], options, tmp_path)
    assert not any("q" in token for token in units.vocabulary.tokens)


def test_finished_units_are_kept(tmp_path, options, capsys):
    units = KIND.fit(named("asr"), transcripts(*SENTENCES), options, tmp_path)
    capsys.readouterr()
    again = KIND.fit(named("asr"), transcripts(*SENTENCES[::-1]), options, tmp_path)
    assert again == units
    assert f"{tmp_path} is finished (28 tokens): nothing to do" in capsys.readouterr().out


def test_units_of_other_sentences_or_another_size_are_made_again(tmp_path, options, capsys):
    KIND.fit(named("asr"), transcripts(*SENTENCES), options, tmp_path)
    more = [*SENTENCES, "xyz"]
    grown = KIND.fit(named("asr"), transcripts(*more), options, tmp_path)
    assert grown.vocabulary.decode(grown.vocabulary.encode("xyz")) == "xyz"
    assert "have changed: made again" in capsys.readouterr().out
    larger = dataclasses.replace(options, vocab_size=options.vocab_size + 2)
    units = KIND.fit(named("asr"), transcripts(*more), larger, tmp_path)
    assert len(units.vocabulary) == len(grown.vocabulary) + 2
    assert KIND.load_units(tmp_path) == units


def test_a_vocabulary_of_somebody_s_own_is_kept(tmp_path, options):
    units = KIND.fit(named("asr"), transcripts(*SENTENCES), options, tmp_path)
    (tmp_path / "made_from.json").unlink()
    assert KIND.fit(named("asr"), transcripts("other words"), options, tmp_path) == units


def test_letters_that_such_a_vocabulary_lacks_are_counted(tmp_path, options, capsys):
    KIND.fit(named("asr"), transcripts(*SENTENCES), options, tmp_path)
    assert "lacks" not in capsys.readouterr().out
    (tmp_path / "made_from.json").unlink()
    KIND.fit(named("asr"), transcripts("ÜÜ cat", "~ üü"), options, tmp_path)
    told = capsys.readouterr().out
    assert "vocabulary lacks and cannot be learnt: '~' (1 times), 'Ü' (2 times), 'ü' (2 t" in told


def test_units_are_made_of_normalised_text(tmp_path, options):
    units = KIND.fit(named("asr"), transcripts(*SENTENCES, "é	a"), options, tmp_path)
    assert units.vocabulary.decode(units.vocabulary.encode("é a")) == "é a"
    said = utterance("asr-1", text="é a")
    ids_L = TextReader(units.vocabulary).read(said, Span(0, 9, 320))
    assert units.vocabulary.decode(ids_L) == "é a"


def test_finished_units_without_a_task_of_today_are_refused(tmp_path, options):
    KIND.fit(named("asr"), transcripts(*SENTENCES), options, tmp_path)
    with pytest.raises(AioError, match="made without task 'st'. Delete"):
        KIND.fit(named("asr", "st"), transcripts(*SENTENCES), options, tmp_path)


# --- training ---


def test_a_target_is_the_sentence_of_the_utterance_s_own_task(vocabulary):
    both = Utterance("st-0", ALL["st"], "s", "x.wav", 9, {"text": "cat", "text.fr": "chat voit"})
    target_L = TextReader(vocabulary).read(both, Span(0, 900, 320))
    assert target_L.tolist() == vocabulary.encode("chat voit")


def test_sentences_are_padded_to_the_longest_whatever_the_input(vocabulary):
    reader = KIND.open(TargetSource(None, [], frozenset(), 16000), TextUnits(vocabulary))
    sentences = ["red cat sees", "dog"]
    targets = [reader.read(u, Span(0, 900, 320)) for u in transcripts(*sentences)]
    batch_BL = KIND.collate(targets, num_samples=400, hop=320)
    long, short = (vocabulary.encode(sentence) for sentence in sentences)
    padding = [-1] * (len(long) - len(short))
    assert batch_BL.tolist() == [long, short + padding]
    assert batch_BL.dtype == torch.int64 and targets[0].dtype == np.int64


# --- decoded sentences ---


def test_an_id_that_leads_elsewhere_is_kept_in_its_folder(tmp_path):
    hostile = utterance("asr-1/../../../x")
    KIND.write(tmp_path / "a/b", hostile, "yes")
    assert KIND.is_finished(tmp_path / "a/b", hostile)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
    KIND.collect(tmp_path / "a/b", [hostile])
    assert KIND.load(tmp_path / "a/b", [hostile]) == ["yes"]


def test_sentences_come_back_for_each_utterance(tmp_path):
    utterances = transcripts("a", "b", "c")
    answers = ["two words", "", "l'été"]
    for member, sentence in zip(utterances, answers, strict=True):
        KIND.write(tmp_path, member, sentence)
    KIND.collect(tmp_path, utterances)
    assert KIND.load(tmp_path, utterances[::-1]) == answers[::-1]


def test_all_sentences_stand_in_one_file_in_the_order_of_the_data_dir(tmp_path):
    utterances = transcripts("a", "b", "c")
    for member in utterances[::-1]:
        KIND.write(tmp_path, member, "" if member.id == "asr-0" else f"said {member.id}")
    KIND.collect(tmp_path, utterances)
    want = ["asr-0", "asr-1 said asr-1", "asr-2 said asr-2"]
    assert (tmp_path / "text").read_text().splitlines() == want


def test_an_utterance_is_finished_when_its_sentence_is_there_even_if_empty(tmp_path):
    first, second = transcripts("a", "b")
    KIND.write(tmp_path, first, "")
    assert KIND.is_finished(tmp_path, first)
    assert not KIND.is_finished(tmp_path, second)


def test_hypotheses_follow_the_utterances_and_may_be_empty(tmp_path):
    (tmp_path / "text").write_text("asr-2 two words\nasr-0\nasr-9 nobody's\n")
    assert KIND.load(tmp_path, [utterance("asr-0"), utterance("asr-2")]) == ["", "two words"]


def test_missing_hypotheses_are_listed_up_to_ten(tmp_path):
    (tmp_path / "text").write_text("asr-00 a\n")
    utterances = [utterance(f"asr-{i:02}") for i in range(13)]
    ids = ", ".join(f"asr-{i:02}" for i in range(1, 11))
    with pytest.raises(AioError, match=f"lacks 12 utterances of the data dir: {ids} and 2 more"):
        KIND.load(tmp_path, utterances)


def test_a_missing_file_is_named_with_its_stage(tmp_path):
    with pytest.raises(AioError, match="text does not exist. Run stage 5"):
        KIND.load(tmp_path, [utterance("asr-0")])


def test_text_in_another_encoding_is_named_with_its_byte(tmp_path):
    (tmp_path / "text").write_bytes("asr-0 caf\u00e9\n".encode("latin1"))
    with pytest.raises(AioError, match="text is not UTF-8 .* at byte 9"):
        KIND.load(tmp_path, [utterance("asr-0")])


def test_no_mixture_has_a_sentence(vocabulary):
    with pytest.raises(AioError, match="data.mixing.asr: the answer to a mixture is no text. Rem"):
        KIND.rendered(ALL["asr"], None)
