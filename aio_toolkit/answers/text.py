"""Text: a sentence an utterance, in units of SentencePiece."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, override

import numpy as np
import torch

from aio_toolkit.answers.base import AnswerKind, TargetReader, TargetSource, Units
from aio_toolkit.answers.lists import (
    check_complete,
    is_whole_text,
    read_list,
    write_list,
    write_text,
)
from aio_toolkit.answers.padding import pad_arrays
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.spans import Span
from aio_toolkit.errors import AioError
from aio_toolkit.files import file_name, read_json, write_json
from aio_toolkit.normalise import Rule, normalise
from aio_toolkit.ranges import bounded
from aio_toolkit.tasks import Task
from aio_toolkit.text import TOKENS_FILE, Vocabulary, train_sentencepiece

# The sentences of all utterances, in the folder of a task.
HYPOTHESES = "text"
# What units were made from.
MADE_FROM = "made_from.json"


@dataclass(frozen=True)
class TextUnits(Units):
    """The units of text.

    Attributes:
        vocabulary: one for all text tasks.

    >>> model = train_sentencepiece(["a cat", "a dog"], vocab_size=12)
    >>> units = TextUnits(Vocabulary.of_model(model, ["asr"]))
    >>> TextUnits.from_state(units.state()) == units
    True
    """

    vocabulary: Vocabulary

    @override
    def state(self) -> dict[str, Any]:
        """Tokens and model of the vocabulary."""
        vocabulary = self.vocabulary
        return {"tokens": vocabulary.tokens, "model": vocabulary.model}

    @classmethod
    @override
    def from_state(cls, state: dict[str, Any]) -> "TextUnits":
        """The units that `state` came from."""
        tokens = tuple(state["tokens"])
        vocabulary = Vocabulary(tokens, state["model"])
        return cls(vocabulary)

    @override
    def pack(self, folder: Path) -> None:
        """The SentencePiece model, which its own tools read, and the list of tokens."""
        self.vocabulary.save(folder)

    @classmethod
    @override
    def unpack(cls, folder: Path) -> "TextUnits":
        """The vocabulary, whose list is that of its model."""
        return cls(Vocabulary.load(folder))

    @override
    def check_same(self, other: Units, where: str) -> None:
        """Ids mean the same tokens."""
        tokens: tuple[str, ...] = ()
        if isinstance(other, TextUnits):
            tokens = other.vocabulary.tokens
        if tokens != self.vocabulary.tokens:
            remedy = "Use the matching folder of units."
            raise AioError(f"{where}: the text units are not the same. {remedy}")


class TextReader(TargetReader):
    """Token ids of normalised sentences, which the data dir itself holds."""

    def __init__(self, vocabulary: Vocabulary):
        self.vocabulary = vocabulary

    @override
    def read(self, utterance: Utterance, span: Span) -> np.ndarray:
        """Ids (L,) of the whole sentence."""
        # Beside it, the utterance may have the text of another task.
        task = utterance.task
        (target,) = task.targets
        sentence = normalise(utterance.answers[target], task.options.normalise)
        ids = self.vocabulary.encode(sentence)
        return np.array(ids, dtype=np.int64)


class Text(AnswerKind):
    """A sentence, transcribed or translated.

    In a data dir it is in a file of the target's name: `text`, or `text.<language>`. Decoded, each
    is in `utterances/<id>.txt`, and all of a split are in one file `text`.

    >>> Text().file_of("text.fr")
    'text.fr'
    >>> Text().check_task(Task("asr", "", "text", ("words",), ("wer",)))
    "unknown target 'words'. Call it 'text' or 'text.<language>'."
    """

    units = TextUnits

    @dataclass
    class Config:
        """Options of a text task.

        Attributes:
            language: two letters; BLEU splits Chinese, Japanese and Korean by rules of their own.
            normalise: what is done to text before it is learnt and scored, see `normalise.py`.
        """

        language: str = "en"
        normalise: list[Rule] = field(default_factory=lambda: [Rule.nfc])

    @dataclass
    class Fit:
        """Options of stage 2.

        Attributes:
            vocab_size: pieces of the SentencePiece model.
        """

        vocab_size: int = bounded(200, least=1)

    @override
    def file_of(self, target: str) -> str:
        """A file of the target's name."""
        return target

    @override
    def check_task(self, task: Task) -> str | None:
        """A text task has one target, called `text` or `text.<language>`."""
        if len(task.targets) != 1:
            return f"a text task has one target, not {len(task.targets)}."
        target = task.targets[0]
        if target != "text" and not target.startswith("text."):
            return f"unknown target '{target}'. Call it 'text' or 'text.<language>'."
        return None

    @override
    def fit(
        self, tasks: Sequence[Task], utterances: Sequence[Utterance], options: Fit, folder: Path
    ) -> TextUnits:
        """Train one SentencePiece model on all text of the tasks, whatever language it is in."""
        sentences = _sentences(tasks, utterances)
        units = self._fit(tasks, sentences, options, folder)
        _tell_lacking(units.vocabulary, sentences)
        return units

    def _fit(
        self, tasks: Sequence[Task], sentences: Sequence[str], options: Fit, folder: Path
    ) -> TextUnits:
        """The units that are there, if they were made from that, or others."""
        digest = hashlib.sha256("\n".join(sentences).encode()).hexdigest()
        made_from = {"vocab_size": options.vocab_size, "sentences": digest}
        path = folder / MADE_FROM
        # A folder that tells nothing of its origin is somebody's own vocabulary.
        is_current = not path.is_file() or read_json(path) == made_from
        if (folder / TOKENS_FILE).is_file():
            if is_current:
                return self._kept(folder, tasks)
            print(f"{folder}: the sentences or their vocabulary size have changed: made again")

        model = train_sentencepiece(sentences, options.vocab_size)
        names = [task.name for task in tasks]
        vocabulary = Vocabulary.of_model(model, names)
        vocabulary.save(folder)
        write_json(path, made_from)
        print(f"wrote {folder} ({len(vocabulary)} tokens from {len(sentences)} sentences)")
        return TextUnits(vocabulary)

    def _kept(self, folder: Path, tasks: Sequence[Task]) -> TextUnits:
        """The units that are there already."""
        units = self.load_units(folder)
        # Told now rather than by stage 4, hours later.
        for task in tasks:
            units.vocabulary.start(task.name)
        print(f"{folder} is finished ({len(units.vocabulary)} tokens): nothing to do")
        return units

    @override
    def load_units(self, folder: Path) -> TextUnits:
        """Read the vocabulary."""
        return TextUnits(Vocabulary.load(folder))

    @override
    def open(self, source: TargetSource, units: TextUnits) -> TextReader:
        """A reader that needs nothing of the dump."""
        return TextReader(units.vocabulary)

    @override
    def collate(self, targets: Sequence[np.ndarray], num_samples: int, hop: int) -> torch.Tensor:
        """Token ids (B, L), -1 on padding; L is the longest sentence's length."""
        return pad_arrays(targets, value=-1)

    @override
    def write(self, folder: Path, utterance: Utterance, answer: str) -> None:
        """Write a sentence to a file of its own."""
        write_text(_sentence_path(folder, utterance), answer)

    @override
    def is_finished(self, folder: Path, utterance: Utterance) -> bool:
        """Whether that file is there, and whole."""
        return is_whole_text(_sentence_path(folder, utterance))

    @override
    def collect(self, folder: Path, utterances: Sequence[Utterance]) -> None:
        """Write `text`, a line an utterance in their order."""
        table = {}
        # Of all of them: earlier runs have decoded some.
        for utterance in utterances:
            sentence = _sentence_path(folder, utterance).read_text(encoding="utf-8")
            table[utterance.id] = sentence.strip()
        write_list(folder / HYPOTHESES, table)

    @override
    def load(self, folder: Path, utterances: Sequence[Utterance]) -> list[str]:
        """The sentence of each utterance from `text`; a line with an id alone is an empty one."""
        path = folder / HYPOTHESES
        table = read_list(path)
        lacking = [u.id for u in utterances if u.id not in table]
        check_complete(path, lacking)
        return [table[utterance.id] for utterance in utterances]


def _sentences(tasks: Sequence[Task], utterances: Sequence[Utterance]) -> list[str]:
    """All answers to the tasks; sorted, so that nothing depends on the order of the data."""
    rules = {target: task.options.normalise for task in tasks for target in task.targets}
    sentences = []
    for utterance in utterances:
        for target in rules.keys() & utterance.answers.keys():
            sentences.append(normalise(utterance.answers[target], rules[target]))
    return sorted(sentences)


def _tell_lacking(vocabulary: Vocabulary, sentences: Sequence[str]) -> None:
    """Name the letters that the vocabulary of others may not have."""
    letters = Counter("".join(sentences))
    lacking = {letter: letters[letter] for letter in sorted(vocabulary.lacking(letters))}
    if lacking:
        times = ", ".join(f"'{letter}' ({count} times)" for letter, count in lacking.items())
        print(f"notice: letters that the vocabulary lacks and cannot be learnt: {times}")


def _sentence_path(folder: Path, utterance: Utterance) -> Path:
    name = f"{file_name(utterance.id)}.txt"
    return folder / "utterances" / name
