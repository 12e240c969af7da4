"""A small English grammar, each sentence with its French translation."""

import zlib
from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from lexicon import (
    ADJECTIVES,
    ANIMALS,
    NAMES,
    PEOPLE,
    PLACES,
    PRONOUNS,
    THINGS,
    VERBS_OF_ANYTHING,
    VERBS_OF_PLACES,
    VERBS_OF_THINGS,
    Adjective,
    Noun,
    Phrase,
    Verb,
)

_VOWELS = "aeiouâéêh"  # with h, which is silent in most French words
MIN_WORDS, MAX_WORDS = 3, 6
_SPLITS = ("dev", "test", "test", *["train"] * 7)


class Tense(StrEnum):
    """When something happens."""

    present = "present"
    past = "past"


_AVOIR = ("ai", "a", "avons", "ont")
_TODAY = Phrase("today", "aujourd'hui")
_TIMES = {
    Tense.past: (_TODAY, Phrase("yesterday", "hier")),
    Tense.present: (_TODAY, Phrase("now", "maintenant")),
}
_SINGULAR = ("the", "a", "my")
_PLURAL = ("two", "three")
# English: masculine, feminine.
_FRENCH_DETERMINERS = {
    "the": ("le", "la"),
    "a": ("un", "une"),
    "my": ("mon", "ma"),
    "two": ("deux", "deux"),
    "three": ("trois", "trois"),
}


def draw_sentence(
    rng: np.random.Generator,
    split: str,
    num_words: int | None = None,
) -> tuple[str, str]:
    """An English sentence of 3 to 6 words (or of `num_words`) and its French translation.

    No sentence belongs to two splits: the checksum of the English text says which one it is in.
    """
    while True:
        english, french = _compose(rng)
        length = len(english.split())
        fits = MIN_WORDS <= length <= MAX_WORDS and num_words in (None, length)
        if fits and split_of(english) == split:
            return english, french


def split_of(english: str) -> str:
    """The split that a sentence belongs to: 7 in 10 train, 1 dev, 2 test."""
    checksum = zlib.crc32(english.encode())
    return _SPLITS[checksum % len(_SPLITS)]


def noun_phrase(noun: Noun, determiner: str, adjective: Adjective | None) -> Phrase:
    """A noun phrase; two and three take the plural.

    >>> old = next(adjective for adjective in ADJECTIVES if adjective.word == "old")
    >>> phrase = noun_phrase(ANIMALS[2], "a", old)
    >>> phrase.english, phrase.french
    ('an old bird', 'un vieil oiseau')
    """
    plural = determiner in _PLURAL
    words = [adjective.word] if adjective else []
    words.append(noun.plural if plural else noun.word)
    article = "an" if determiner == "a" and words[0][0] in "aeiou" else determiner

    french_article = _determiner(determiner, noun)
    french = _french_noun(noun, adjective, "plural" if plural else "singular")
    return Phrase(
        " ".join([article, *words]),
        _join(french_article, french),
        person=3 if plural else 1,
        third=not plural,
    )


def place_phrase(preposition: str, noun: Noun) -> Phrase:
    """`in`, `at` or `near the` place with the contractions of à and de.

    >>> place_phrase("at", Noun("market", "marché")).french
    'au marché'
    >>> place_phrase("near", Noun("school", "école", feminine=True)).french
    "près de l'école"
    """
    french = _join("la" if noun.feminine else "le", noun.french)
    article, _, rest = french.partition(" ")
    # à le and de le contract; à la, de la, à l' and de l' do not.
    contracts = article == "le"
    if preposition == "in":
        french = f"dans {french}"
    elif preposition == "at":
        french = f"au {rest}" if contracts else f"à {french}"
    else:
        french = f"près du {rest}" if contracts else f"près de {french}"
    return Phrase(f"{preposition} the {noun.word}", french)


def clause(subject: Phrase, verb: Verb, tense: Tense, rest: Phrase) -> tuple[str, str]:
    """Subject, verb and the rest in both languages; the French past is the passé composé."""
    if tense == Tense.past:
        english = verb.past
        french = f"{_AVOIR[subject.person]} {verb.participle}"
    else:
        english = verb.third if subject.third else verb.base
        french = verb.french[subject.person]
    elided = subject.french == "je" and _starts_with_vowel(french)
    start = "j'" if elided else f"{subject.french} "
    translation = f"{start}{french} {rest.french}"
    return f"{subject.english} {english} {rest.english}", translation


def _compose(rng: np.random.Generator) -> tuple[str, str]:
    tense = Tense.past if rng.random() < 0.4 else Tense.present
    subject = _draw_subject(rng)
    if rng.random() < 0.3:
        verb = _pick(rng, VERBS_OF_PLACES)
        preposition = _pick(rng, ("in", "at", "near"))
        rest = place_phrase(preposition, _pick(rng, PLACES))
    elif rng.random() < 0.5:
        verb = _pick(rng, VERBS_OF_ANYTHING)
        rest = _draw_phrase(rng, ANIMALS + PEOPLE + THINGS)
    else:
        verb = _pick(rng, VERBS_OF_THINGS)
        rest = _draw_phrase(rng, ANIMALS + THINGS)
    if rng.random() < 0.4:
        time = _draw_time(rng, tense)
        rest = Phrase(f"{rest.english} {time.english}", f"{rest.french} {time.french}")
    return clause(subject, verb, tense, rest)


def _draw_subject(rng: np.random.Generator) -> Phrase:
    kind = rng.random()
    if kind < 0.3:
        return _pick(rng, PRONOUNS)
    if kind < 0.5:
        return _pick(rng, NAMES)
    return _draw_phrase(rng, ANIMALS + PEOPLE)


def _draw_phrase(rng: np.random.Generator, nouns: tuple[Noun, ...]) -> Phrase:
    noun = _pick(rng, nouns)
    determiners = _SINGULAR + _PLURAL if noun.plural else _SINGULAR
    determiner = _pick(rng, determiners)
    adjective = _pick(rng, ADJECTIVES) if rng.random() < 0.5 else None
    return noun_phrase(noun, determiner, adjective)


def _draw_time(rng: np.random.Generator, tense: Tense) -> Phrase:
    return _pick(rng, _TIMES[tense])


def _pick[Item](rng: np.random.Generator, items: Sequence[Item]) -> Item:
    index = int(rng.integers(len(items)))
    return items[index]


def _starts_with_vowel(word: str) -> bool:
    return word[0] in _VOWELS


def _determiner(english: str, noun: Noun) -> str:
    masculine, feminine = _FRENCH_DETERMINERS[english]
    return feminine if noun.feminine else masculine


def _french_noun(noun: Noun, adjective: Adjective | None, number: str) -> str:
    """A noun and its adjective, "singular" or "plural"."""
    word = noun.plural_fr if number == "plural" else noun.french
    if adjective is None:
        return word
    form = _agree(adjective, noun, number, word)
    if adjective.before:
        return f"{form} {word}"
    return f"{word} {form}"


def _agree(adjective: Adjective, noun: Noun, number: str, word: str) -> str:
    """The French form of an adjective beside a noun, of which it takes gender and number."""
    if noun.feminine:
        return adjective.feminine + ("s" if number == "plural" else "")
    if number == "plural":
        return adjective.masculine_plural
    # vieux, but un vieil oiseau.
    vowel_follows = adjective.before and _starts_with_vowel(word)
    return adjective.before_vowel if vowel_follows else adjective.masculine


def _join(determiner: str, rest: str) -> str:
    """Elide the article (l') and use mon for ma before a vowel."""
    if not _starts_with_vowel(rest):
        return f"{determiner} {rest}"
    if determiner in ("le", "la"):
        return f"l'{rest}"
    if determiner == "ma":
        return f"mon {rest}"
    return f"{determiner} {rest}"
