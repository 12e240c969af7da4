"""One form of text for training, hypotheses and references: what is right scores as right."""

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from functools import partial

# SentencePiece writes a blank as this sign, which could not be told from one.
_BLANK_SIGN = "\u2581"
# What joins two parts of a word, as in "don't", "l'été" and "well-known".
_JOINTS = "'’-‐‑"


class Rule(StrEnum):
    """What may be done to text, besides white space of any kind becoming single blanks."""

    none = "none"
    nfc = "nfc"
    nfkc = "nfkc"
    lower = "lower"  # type: ignore[assignment]  # the name of a method of str
    punctuation = "punctuation"


def normalise(text: str, rules: Iterable[Rule]) -> str:
    """Text after each rule in turn, its words separated by single blanks.

    Args:
        text: a sentence.
        rules: nfc and nfkc are forms of Unicode (UAX #15), of which nfkc also writes ligatures,
            widths and raised digits plainly; lower is lower case; punctuation takes the signs of
            Unicode's categories P away, except for apostrophes and hyphens inside a word.

    >>> normalise("It's  5 m², well-known!", [])
    "It's 5 m², well-known!"
    >>> normalise("It's  5 m², well-known!", [Rule.nfkc, Rule.lower, Rule.punctuation])
    "it's 5 m2 well-known"
    """
    for rule in rules:
        text = _RULES[rule](text)
    # Split as Python does: at tabs, no-break and thin spaces, and all ends of lines.
    return " ".join(text.replace(_BLANK_SIGN, " ").split())


def _without_punctuation(text: str) -> str:
    kept = []
    for place, sign in enumerate(text):
        if not unicodedata.category(sign).startswith("P") or _joins(text, place):
            kept.append(sign)
    return "".join(kept)


def _joins(text: str, place: int) -> bool:
    """Whether a sign stands between letters or digits of one word."""
    before, after = text[max(0, place - 1) : place], text[place + 1 : place + 2]
    return text[place] in _JOINTS and before.isalnum() and after.isalnum()


_RULES: Mapping[Rule, Callable[[str], str]] = {
    Rule.none: str,
    Rule.nfc: partial(unicodedata.normalize, "NFC"),
    Rule.nfkc: partial(unicodedata.normalize, "NFKC"),
    Rule.lower: str.lower,
    Rule.punctuation: _without_punctuation,
}
