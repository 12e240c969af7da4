"""Text units: a SentencePiece model and the token list that heads are built on."""

import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path

BLANK = "<blank>"
EOS = "<eos>"
MODEL_FILE, TOKENS_FILE = "bpe.model", "tokens.txt"


@dataclass(frozen=True)
class Vocabulary:
    """Tokens in order: blank, SentencePiece pieces, one start token per text task, end of sentence.

    Attributes:
        tokens: the list; a token's index is its id.
        model: bytes of the SentencePiece model, so that a checkpoint needs no file beside it.

    >>> model = train_sentencepiece(["a cat", "a dog"], vocab_size=12)
    >>> vocabulary = Vocabulary.of_model(model, tasks=["asr"])
    >>> vocabulary.tokens[:2], vocabulary.tokens[-2:]
    (('<blank>', '<unk>'), ('<asr>', '<eos>'))
    >>> vocabulary.decode(vocabulary.encode("a dog"))
    'a dog'
    """

    tokens: tuple[str, ...]
    model: bytes = field(repr=False)

    @classmethod
    def of_model(cls, model: bytes, tasks: Iterable[str]) -> "Vocabulary":
        """The vocabulary of a SentencePiece model and the text tasks, by name, of its decoder."""
        processor = _load(model)
        ids = range(processor.get_piece_size())
        pieces = [processor.id_to_piece(i) for i in ids]
        starts = [_start_token(task) for task in tasks]
        tokens = (BLANK, *pieces, *starts, EOS)
        return cls(tokens, model)

    @classmethod
    def load(cls, directory: Path) -> "Vocabulary":
        """Read what `save` wrote.

        Raises:
            AioError: a file is missing, or the files do not belong together.
        """
        model_path, tokens_path = directory / MODEL_FILE, directory / TOKENS_FILE
        for path in (model_path, tokens_path):
            if not path.is_file():
                raise AioError(f"{path} does not exist. Run stage 2 (fit_units) first.")

        remedy = "Delete both and run stage 2 again."
        try:
            # Not splitlines(): pieces may hold what it splits at, such as U+0085.
            lines = tokens_path.read_bytes().decode("utf-8").removesuffix("\n").split("\n")
            vocabulary = cls(tuple(lines), model_path.read_bytes())
            # The tasks are those of the list itself: it may be older than today's tasks.
            starts = lines[1 + vocabulary.num_pieces : -1]
        except (UnicodeDecodeError, RuntimeError):
            raise AioError(f"{tokens_path} or {model_path.name} is damaged. {remedy}") from None
        tasks = [token[1:-1] for token in starts]
        if vocabulary != cls.of_model(vocabulary.model, tasks):
            raise AioError(f"{tokens_path} does not match {model_path}. {remedy}")
        return vocabulary

    def save(self, directory: Path) -> None:
        """Write `bpe.model` and `tokens.txt`, the list last: it says that both are there."""
        with atomic_path(directory / MODEL_FILE) as temporary:
            temporary.write_bytes(self.model)
        with atomic_path(directory / TOKENS_FILE) as temporary:
            lines = "\n".join(self.tokens) + "\n"
            temporary.write_text(lines, encoding="utf-8")

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def eos(self) -> int:
        """Id of the end-of-sentence token."""
        return self.tokens.index(EOS)

    @property
    def num_pieces(self) -> int:
        """SentencePiece pieces; they follow the blank."""
        return self._processor.get_piece_size()

    def start(self, task: str) -> int:
        """Id of the start token that tells the decoder which text task to answer.

        Raises:
            AioError: the vocabulary was made without that task.
        """
        token = _start_token(task)
        if token not in self.tokens:
            remedy = "Delete the folder of the units (dump/units) and run stage 2 again."
            raise AioError(f"the text units were made without task '{task}'. {remedy}")
        return self.tokens.index(token)

    def encode(self, sentence: str) -> list[int]:
        """Ids of a sentence's pieces, without start and end."""
        pieces = self._processor.encode(sentence)
        # Id 0 is the blank, so every piece is one further on.
        return [piece + 1 for piece in pieces]

    def decode(self, ids: Iterable[int]) -> str:
        """The sentence of some ids; blank, start and end tokens are left out."""
        pieces = []
        for i in ids:
            if 0 < i <= self.num_pieces:
                pieces.append(int(i) - 1)
        return self._processor.decode(pieces)

    def lacking(self, letters: Iterable[str]) -> set[str]:
        """Those of some letters that no piece holds.

        >>> model = train_sentencepiece(["a cat", "a dog"], vocab_size=12)
        >>> sorted(Vocabulary.of_model(model, tasks=[]).lacking("a big cat"))
        ['b', 'i']
        """
        unknown = self._processor.unk_id()
        return {letter for letter in letters if unknown in self._processor.encode(letter)}

    @cached_property
    def _processor(self) -> Any:
        return _load(self.model)

    def __getstate__(self) -> dict[str, Any]:
        # SentencePiece objects do not pickle into workers everywhere; each process makes its own.
        return {"tokens": self.tokens, "model": self.model}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)


def train_sentencepiece(sentences: Iterable[str], vocab_size: int) -> bytes:
    """Train a BPE model; sentences without text do not count.

    Args:
        sentences: what to train on.
        vocab_size: number of pieces.

    Raises:
        AioError: no text, or a `vocab_size` that the text cannot fill or cover.

    >>> train_sentencepiece(["a b c"], vocab_size=500)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    aio_toolkit.errors.AioError: --vocab_size 500 does not fit this text: ...
    """
    # Slow to import.
    import sentencepiece

    sentences = [sentence for sentence in sentences if sentence]
    if not sentences:
        remedy = "Check the text files of the data dir."
        raise AioError(f"there is no text to train SentencePiece on. {remedy}")
    stream = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=stream,
            vocab_size=vocab_size,
            model_type="bpe",
            character_coverage=1.0,
            # Text comes in its one form already, see `normalise.py`.
            normalization_rule_name="identity",
            bos_id=-1,
            eos_id=-1,
            unk_id=0,
            minloglevel=2,
        )
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        problem = f"--vocab_size {vocab_size} does not fit this text: {reason}"
        raise AioError(f"{problem}. Choose another.") from None
    return stream.getvalue()


def _load(model: bytes) -> Any:
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(model_proto=model)


def _start_token(task: str) -> str:
    return f"<{task}>"
