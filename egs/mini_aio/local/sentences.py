"""A small English grammar, each sentence with its French translation."""

import zlib
from dataclasses import dataclass

import numpy as np

_VOWELS = "aeiouâéêh"
MIN_WORDS, MAX_WORDS = 3, 6


@dataclass(frozen=True)
class Noun:
    """A noun in both languages; without plurals where the grammar uses the singular only."""

    word: str
    french: str
    feminine: bool = False
    plural: str = ""
    plural_fr: str = ""


@dataclass(frozen=True)
class Adjective:
    """An adjective with its French forms; `before` says that it stands before the French noun."""

    word: str
    masculine: str
    feminine: str
    before_vowel: str
    masculine_plural: str
    before: bool = False

    def agree(self, feminine: bool, plural: bool, vowel_follows: bool) -> str:
        """The French form for a noun of this gender and number."""
        if feminine:
            return self.feminine + ("s" if plural else "")
        if plural:
            return self.masculine_plural
        return self.before_vowel if vowel_follows else self.masculine


@dataclass(frozen=True)
class Verb:
    """Both languages: `french` is the present of je, il, nous, ils; the participle goes with avoir."""

    base: str
    third: str
    past: str
    french: tuple[str, str, str, str]
    participle: str


@dataclass(frozen=True)
class Phrase:
    """A noun phrase; `person` indexes the forms of Verb.french, `third` says whether English adds -s."""

    english: str
    french: str
    person: int = 1
    third: bool = True


ANIMALS = (
    Noun("cat", "chat", plural="cats", plural_fr="chats"),
    Noun("dog", "chien", plural="dogs", plural_fr="chiens"),
    Noun("bird", "oiseau", plural="birds", plural_fr="oiseaux"),
    Noun("horse", "cheval", plural="horses", plural_fr="chevaux"),
)
PEOPLE = (
    Noun("girl", "fille", True, plural="girls", plural_fr="filles"),
    Noun("boy", "garçon", plural="boys", plural_fr="garçons"),
    Noun("king", "roi"),
    Noun("queen", "reine", True),
)
THINGS = (
    Noun("apple", "pomme", True, plural="apples", plural_fr="pommes"),
    Noun("book", "livre", plural="books", plural_fr="livres"),
    Noun("flower", "fleur", True, plural="flowers", plural_fr="fleurs"),
    Noun("key", "clé", True, plural="keys", plural_fr="clés"),
    Noun("umbrella", "parapluie"),
    Noun("house", "maison", True),
    Noun("car", "voiture", True),
    Noun("box", "boîte", True),
    Noun("cake", "gâteau"),
    Noun("letter", "lettre", True),
    Noun("star", "étoile", True),
    Noun("tree", "arbre"),
)
ADJECTIVES = (
    Adjective("small", "petit", "petite", "petit", "petits", before=True),
    Adjective("big", "grand", "grande", "grand", "grands", before=True),
    Adjective("old", "vieux", "vieille", "vieil", "vieux", before=True),
    Adjective("new", "nouveau", "nouvelle", "nouvel", "nouveaux", before=True),
    Adjective("red", "rouge", "rouge", "rouge", "rouges"),
    Adjective("green", "vert", "verte", "vert", "verts"),
    Adjective("blue", "bleu", "bleue", "bleu", "bleus"),
    Adjective("black", "noir", "noire", "noir", "noirs"),
    Adjective("white", "blanc", "blanche", "blanc", "blancs"),
)
VERBS_OF_ANYTHING = (
    Verb("see", "sees", "saw", ("vois", "voit", "voyons", "voient"), "vu"),
    Verb("like", "likes", "liked", ("aime", "aime", "aimons", "aiment"), "aimé"),
    Verb("find", "finds", "found", ("trouve", "trouve", "trouvons", "trouvent"), "trouvé"),
)
VERBS_OF_THINGS = (
    Verb("take", "takes", "took", ("prends", "prend", "prenons", "prennent"), "pris"),
    Verb("buy", "buys", "bought", ("achète", "achète", "achetons", "achètent"), "acheté"),
    Verb("wash", "washes", "washed", ("lave", "lave", "lavons", "lavent"), "lavé"),
)
VERBS_OF_PLACES = (
    Verb("sleep", "sleeps", "slept", ("dors", "dort", "dormons", "dorment"), "dormi"),
    Verb("sing", "sings", "sang", ("chante", "chante", "chantons", "chantent"), "chanté"),
    Verb("play", "plays", "played", ("joue", "joue", "jouons", "jouent"), "joué"),
)
PLACES = (
    Noun("garden", "jardin"),
    Noun("park", "parc"),
    Noun("market", "marché"),
    Noun("kitchen", "cuisine", True),
    Noun("river", "rivière", True),
    Noun("school", "école", True),
)
PRONOUNS = (
    Phrase("i", "je", person=0, third=False),
    Phrase("he", "il"),
    Phrase("she", "elle"),
    Phrase("we", "nous", person=2, third=False),
    Phrase("they", "ils", person=3, third=False),
)
NAMES = (Phrase("anna", "anna"), Phrase("paul", "paul"), Phrase("mary", "marie"), Phrase("tom", "tom"))
_AVOIR = ("ai", "a", "avons", "ont")
_SINGULAR = ("the", "a", "my")
_PLURAL = ("two", "three")
# masculine, feminine
_FRENCH_DETERMINERS = {
    "the": ("le", "la"),
    "a": ("un", "une"),
    "my": ("mon", "ma"),
    "two": ("deux", "deux"),
    "three": ("trois", "trois"),
}


def draw_sentence(rng: np.random.Generator, split: str, num_words: int | None = None) -> tuple[str, str]:
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
    return ("dev", "test", "test", *["train"] * 7)[zlib.crc32(english.encode()) % 10]


def noun_phrase(noun: Noun, determiner: str, adjective: Adjective | None) -> Phrase:
    """A noun phrase such as `an old bird` / `un vieil oiseau`; two and three take the plural."""
    plural = determiner in _PLURAL
    words = [adjective.word] if adjective else []
    words.append(noun.plural if plural else noun.word)
    article = "an" if determiner == "a" and words[0][0] in "aeiou" else determiner
    return Phrase(
        " ".join([article, *words]),
        _join(_determiner(determiner, noun), _french_noun(noun, adjective, plural)),
        person=3 if plural else 1,
        third=not plural,
    )


def place_phrase(preposition: str, noun: Noun) -> Phrase:
    """`in`, `at` or `near the` place with the contractions of à and de: au, du, à l', de l'."""
    french = _join("la" if noun.feminine else "le", noun.french)
    article, _, rest = french.partition(" ")
    if preposition == "in":
        french = f"dans {french}"
    elif preposition == "at":
        french = f"au {rest}" if article == "le" else f"à {french}"
    else:
        french = f"près du {rest}" if article == "le" else f"près de {french}"
    return Phrase(f"{preposition} the {noun.word}", french)


def clause(subject: Phrase, verb: Verb, past: bool, rest: Phrase) -> tuple[str, str]:
    """Subject, verb and the rest in both languages; the French past is the passé composé with avoir."""
    if past:
        english, french = verb.past, f"{_AVOIR[subject.person]} {verb.participle}"
    else:
        english = verb.third if subject.third else verb.base
        french = verb.french[subject.person]
    elided = subject.french == "je" and _starts_with_vowel(french)
    start = "j'" if elided else subject.french + " "
    return f"{subject.english} {english} {rest.english}", f"{start}{french} {rest.french}"


def _compose(rng: np.random.Generator) -> tuple[str, str]:
    past = bool(rng.random() < 0.4)
    subject = _draw_subject(rng)
    if rng.random() < 0.3:
        verb = _pick(rng, VERBS_OF_PLACES)
        rest = place_phrase(_pick(rng, ("in", "at", "near")), _pick(rng, PLACES))
    elif rng.random() < 0.5:
        verb = _pick(rng, VERBS_OF_ANYTHING)
        rest = _draw_phrase(rng, ANIMALS + PEOPLE + THINGS)
    else:
        verb = _pick(rng, VERBS_OF_THINGS)
        rest = _draw_phrase(rng, ANIMALS + THINGS)
    if rng.random() < 0.4:
        time = _draw_time(rng, past)
        rest = Phrase(f"{rest.english} {time.english}", f"{rest.french} {time.french}")
    return clause(subject, verb, past, rest)


def _draw_subject(rng: np.random.Generator) -> Phrase:
    kind = rng.random()
    if kind < 0.3:
        return _pick(rng, PRONOUNS)
    return _pick(rng, NAMES) if kind < 0.5 else _draw_phrase(rng, ANIMALS + PEOPLE)


def _draw_phrase(rng: np.random.Generator, nouns: tuple[Noun, ...]) -> Phrase:
    noun = _pick(rng, nouns)
    determiner = _pick(rng, _SINGULAR + _PLURAL if noun.plural else _SINGULAR)
    return noun_phrase(noun, determiner, _pick(rng, ADJECTIVES) if rng.random() < 0.5 else None)


def _draw_time(rng: np.random.Generator, past: bool) -> Phrase:
    today = Phrase("today", "aujourd'hui")
    return _pick(rng, (today, Phrase("yesterday", "hier") if past else Phrase("now", "maintenant")))


def _pick(rng: np.random.Generator, items: tuple):
    return items[int(rng.integers(len(items)))]


def _starts_with_vowel(word: str) -> bool:
    return word[0] in _VOWELS


def _determiner(english: str, noun: Noun) -> str:
    masculine, feminine = _FRENCH_DETERMINERS[english]
    return feminine if noun.feminine else masculine


def _french_noun(noun: Noun, adjective: Adjective | None, plural: bool) -> str:
    word = noun.plural_fr if plural else noun.french
    if adjective is None:
        return word
    form = adjective.agree(noun.feminine, plural, adjective.before and _starts_with_vowel(word))
    return f"{form} {word}" if adjective.before else f"{word} {form}"


def _join(determiner: str, rest: str) -> str:
    """Elide the article (l') and use mon for ma before a vowel."""
    if _starts_with_vowel(rest):
        if determiner in ("le", "la"):
            return f"l'{rest}"
        if determiner == "ma":
            determiner = "mon"
    return f"{determiner} {rest}"
