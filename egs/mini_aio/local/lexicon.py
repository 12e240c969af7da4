"""The words of the corpus, English and French."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Noun:
    """A noun in both languages.

    Attributes:
        word: the English singular.
        french: the French singular.
        feminine: the French gender.
        plural: the English plural; empty where the grammar uses the singular only.
        plural_fr: the French plural, likewise.
    """

    word: str
    french: str
    feminine: bool = False
    plural: str = ""
    plural_fr: str = ""


@dataclass(frozen=True)
class Adjective:
    """An adjective with its French forms.

    Attributes:
        word: the English word.
        masculine: French singular.
        feminine: French singular; its plural adds an s.
        before_vowel: masculine singular before a vowel.
        masculine_plural: French plural.
        before: whether it stands before the French noun.
    """

    word: str
    masculine: str
    feminine: str
    before_vowel: str
    masculine_plural: str
    before: bool = False


@dataclass(frozen=True)
class Verb:
    """A verb in both languages.

    Attributes:
        base: English present, except of the third person singular.
        third: English third person singular.
        past: English past.
        french: French present of je, il, nous, ils.
        participle: French past participle, which goes with avoir.
    """

    base: str
    third: str
    past: str
    french: tuple[str, str, str, str]
    participle: str


@dataclass(frozen=True)
class Phrase:
    """A piece of a sentence in both languages.

    Attributes:
        english: the English words.
        french: the French words.
        person: as a subject, index of the forms of `Verb.french`.
        third: as a subject, whether the English verb is in the third person singular.
    """

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
    Noun("girl", "fille", feminine=True, plural="girls", plural_fr="filles"),
    Noun("boy", "garçon", plural="boys", plural_fr="garçons"),
    Noun("king", "roi"),
    Noun("queen", "reine", feminine=True),
)
THINGS = (
    Noun("apple", "pomme", feminine=True, plural="apples", plural_fr="pommes"),
    Noun("book", "livre", plural="books", plural_fr="livres"),
    Noun("flower", "fleur", feminine=True, plural="flowers", plural_fr="fleurs"),
    Noun("key", "clé", feminine=True, plural="keys", plural_fr="clés"),
    Noun("umbrella", "parapluie"),
    Noun("house", "maison", feminine=True),
    Noun("car", "voiture", feminine=True),
    Noun("box", "boîte", feminine=True),
    Noun("cake", "gâteau"),
    Noun("letter", "lettre", feminine=True),
    Noun("star", "étoile", feminine=True),
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
    Noun("kitchen", "cuisine", feminine=True),
    Noun("river", "rivière", feminine=True),
    Noun("school", "école", feminine=True),
)
PRONOUNS = (
    Phrase("i", "je", person=0, third=False),
    Phrase("he", "il"),
    Phrase("she", "elle"),
    Phrase("we", "nous", person=2, third=False),
    Phrase("they", "ils", person=3, third=False),
)
NAMES = (
    Phrase("anna", "anna"),
    Phrase("paul", "paul"),
    Phrase("mary", "marie"),
    Phrase("tom", "tom"),
)
