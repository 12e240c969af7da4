"""Text has one form, so that a right answer scores full, however it is written."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import ALL

from aio_toolkit.data.datadir import Utterance, read_data_dir, write_data_dir
from aio_toolkit.normalise import Rule, normalise
from aio_toolkit.scoring.base import Key
from aio_toolkit.scoring.text import TextScorer
from aio_toolkit.tasks import Task, load_tasks
from aio_toolkit.text import Vocabulary, train_sentencepiece

# Everything that UTF-8 can hold.
TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
RULES = st.lists(st.sampled_from(Rule), max_size=4)


@pytest.mark.parametrize(
    ("rules", "text", "wanted"),
    [
        ([], "  bonjour\tle\u00a0monde\u202f?\u3000\u2028x\x85y ", "bonjour le monde ? x y"),
        ([], "a\u2581b", "a b"),
        (["none"], "Ete\u0301", "Ete\u0301"),
        (["nfc"], "Ete\u0301 \ufb01n m\u00b2", "Et\u00e9 \ufb01n m\u00b2"),
        (["nfkc"], "\ufb01n m\u00b2 \uff21\u2026", "fin m2 A..."),
        (["lower"], "ÉTÉ İ", "été i̇"),
        (["punctuation"], "« L'été ! », dit-elle… (it's 'so')", "L'été dit-elle it's so"),
        (["punctuation"], "'a' b- -c 5'6 don’t + $3", "a b c 5'6 don’t + $3"),
        (["lower", "nfkc"], "\u2126\u212b", "\u03c9\u00e5"),
        (["nfkc", "punctuation"], "bonjour\u2026le", "bonjourle"),
        (["punctuation", "nfkc"], "bonjour\u2026le", "bonjourle"),
        (["punctuation", "nfkc"], "\u00bd", "1\u20442"),
    ],
)
def test_rules_do_what_their_names_say(rules, text, wanted):
    assert normalise(text, [Rule(rule) for rule in rules]) == wanted


def test_rules_are_applied_in_turn():
    """A number in a circle is a sign of its own until nfkc writes it plainly."""
    text = "\u2025a"
    assert normalise(text, [Rule.punctuation, Rule.nfkc]) == "a"
    assert normalise("\u249ca", [Rule.nfkc, Rule.punctuation]) == "aa"
    assert normalise("\u249ca", [Rule.punctuation, Rule.nfkc]) == "(a)a"


@given(TEXTS, RULES)
def test_words_are_separated_by_single_blanks(text, rules):
    words = normalise(text, rules).split(" ")
    assert words == [""] or all(word and word.split() == [word] for word in words)


@given(TEXTS)
def test_ways_to_write_the_same_letters_are_one(text):
    decomposed = unicodedata.normalize("NFD", text)
    assert normalise(decomposed, [Rule.nfc]) == normalise(text, [Rule.nfc])


def _scored(task: Task, reference: str, answer: str) -> float:
    """The only metric of a task on a corpus of one utterance."""
    (target,) = task.targets
    utterance = Utterance("a", task, "s", "x.wav", 9, {target: reference})
    scorer = TextScorer(task, {}, 16000)
    ((key, sums_K),) = scorer.score(utterance, answer).items()
    assert key == Key("hypothesis", target, task.metrics[0])
    (value,) = scorer.metrics[key.metric].value(sums_K[None])
    return value


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_the_reference_itself_is_always_a_perfect_answer(text):
    if not text.split():
        return
    assert _scored(ALL["asr"], text, text) == 0
    if normalise(text, [Rule.nfc]):
        assert _scored(ALL["st"], text, text) == pytest.approx(100) or not _is_text(text)


def _is_text(text: str) -> bool:
    """Whether sacrebleu finds a word in it."""
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    return bool(Tokenizer13a()(normalise(text, [Rule.nfc])).split())


ODD = [
    "e\u0301te\u0301 a\u0300 la fene\u0302tre",
    "bonjour\u2026 le monde",
    "25 m\u00b2 \u00e0 30 \u00ba N",
    "\u00bd heure",
    "la \ufb01n",
    "\uff26\uff35\uff2c\uff2c width",
    "zero\u200bwidth",
    "bonjour\tle\u00a0monde quoi\u202f?",
    "\u3000\u4f60\u597d\uff0c\u4e16\u754c",
    "two\u2028lines\x85three",
    "the piece \u2581 itself",
]


def test_what_a_perfect_model_says_of_odd_texts_is_all_right(tmp_path):
    """From the data dir through the vocabulary and back, and scored against the data dir."""
    tasks = {name: ALL[name] for name in ("asr", "st")}
    made = [
        Utterance(f"asr-{n:02}", ALL["asr"], "s", "x.wav", 9, {"text": text.strip()})
        for n, text in enumerate(ODD)
    ]
    made += [
        Utterance(f"st-{n:02}", ALL["st"], "s", "x.wav", 9, {"text.fr": text.strip()})
        for n, text in enumerate(ODD)
    ]
    write_data_dir(tmp_path, made, tasks)
    utterances = read_data_dir(tmp_path, tasks)

    def sentence(utterance: Utterance) -> str:
        (target,) = utterance.task.targets
        return utterance.answers[target]

    sentences = [normalise(sentence(u), u.task.options.normalise) for u in utterances]
    model = train_sentencepiece(sentences, vocab_size=110)
    vocabulary = Vocabulary.of_model(model, ["asr", "st"])
    for utterance, text in zip(utterances, sentences, strict=True):
        said = vocabulary.decode(vocabulary.encode(text))
        perfect = 0 if utterance.task.name == "asr" else 100
        assert _scored(utterance.task, sentence(utterance), said) == pytest.approx(perfect), text


def test_rules_are_those_of_the_task(tmp_path):
    (tmp_path / "tasks.yaml").write_text(
        "tasks:\n  asr: {title: x, output: text, targets: [text], metrics: [wer], "
        "text: {normalise: [lower, punctuation]}}\n"
    )
    task = load_tasks(tmp_path / "tasks.yaml")["asr"]
    assert _scored(task, "Good morning, Ann.", "good morning ann") == 0
    assert _scored(ALL["asr"], "Good morning, Ann.", "good morning ann") == 100
    legend = TextScorer(task, {}, 16000).legend
    assert "normalised: lower, punctuation, white space as single blanks." in legend
    assert "normalised: nfc, white space" in TextScorer(ALL["asr"], {}, 16000).legend


def test_the_floor_is_found_among_normalised_sentences():
    texts = ["e\u0301", "\u00e9", "b", "b\u00a0"]
    train = [Utterance(f"a{n}", ALL["asr"], "s", "x", 9, {"text": t}) for n, t in enumerate(texts)]
    train += [Utterance("a9", ALL["asr"], "s", "x", 9, {"text": " \u00e9"})]
    scorer = TextScorer(ALL["asr"], {}, 16000)
    scorer.fit(train, [])
    assert scorer.floor == "\u00e9"
    assert not np.any(next(iter(scorer.bounds(train[0]).values()))[1:])
