"""Text units: a SentencePiece model and the token list that heads are built on."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path
from aio_toolkit.tasks import TASKS

BLANK = "<blank>"
EOS = "<eos>"
_TEXT_TASKS = tuple(task.name for task in TASKS.values() if task.output == "text")


@dataclass(frozen=True)
class Vocabulary:
    """Tokens in order: blank, SentencePiece pieces, one start token per text task, end of sentence.

    Attributes:
        tokens: the list; a token's index is its id.
        model: bytes of the SentencePiece model, so that a checkpoint needs no file beside it.
    """

    tokens: tuple[str, ...]
    model: bytes = field(repr=False)

    @classmethod
    def load(cls, directory: Path) -> "Vocabulary":
        """Read `bpe.model` and `tokens.txt`; AioError where they are missing or do not belong together."""
        model_path, tokens_path = directory / "bpe.model", directory / "tokens.txt"
        for path in (model_path, tokens_path):
            if not path.is_file():
                raise AioError(f"{path} does not exist. Run stage 2 (train_tokenizer) first.")
        model = model_path.read_bytes()
        tokens = tuple(tokens_path.read_text(encoding="utf-8").splitlines())
        if tokens != _token_list(model):
            raise AioError(f"{tokens_path} does not match {model_path}. Delete both and run stage 2 again.")
        return cls(tokens, model)

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def eos(self) -> int:
        """Id of the end-of-sentence token."""
        return self.tokens.index(EOS)

    def start(self, task: str) -> int:
        """Id of the start token that tells the decoder which text task to answer."""
        return self.tokens.index(f"<{task}>")

    def encode(self, text: str) -> list[int]:
        """Token ids of a sentence, without start and end."""
        return [piece + 1 for piece in self._processor().encode(text)]

    def decode(self, ids: Iterable[int]) -> str:
        """Sentence of token ids; special tokens are dropped."""
        pieces = len(self.tokens) - len(_TEXT_TASKS) - 2
        return self._processor().decode([int(i) - 1 for i in ids if 0 < i <= pieces])

    def _processor(self):
        # SentencePiece objects do not pickle into workers everywhere; make one per process, on first use.
        if "processor" not in self.__dict__:
            object.__setattr__(self, "processor", _load(self.model))
        return self.__dict__["processor"]

    def __getstate__(self) -> dict:
        return {"tokens": self.tokens, "model": self.model}

    def __setstate__(self, state: dict) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)


def train_vocabulary(sentences: Iterable[str], vocab_size: int, directory: Path) -> Vocabulary:
    """Train a BPE SentencePiece model on `sentences` and write `bpe.model` and `tokens.txt`.

    Raises:
        AioError: no text, or a `vocab_size` that the text cannot fill or cover.
    """
    import io

    import sentencepiece

    sentences = [sentence for sentence in sentences if sentence]
    if not sentences:
        raise AioError(f"no text to train {directory / 'bpe.model'} on. Check the data dir's text files.")
    stream = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=stream,
            vocab_size=vocab_size,
            model_type="bpe",
            character_coverage=1.0,
            bos_id=-1,
            eos_id=-1,
            unk_id=0,
            minloglevel=2,
        )
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise AioError(f"--vocab_size {vocab_size} does not fit this text: {reason}. Choose another.") from None
    model = stream.getvalue()
    tokens = _token_list(model)
    with atomic_path(directory / "bpe.model") as temporary:
        temporary.write_bytes(model)
    with atomic_path(directory / "tokens.txt") as temporary:
        temporary.write_text("\n".join(tokens) + "\n", encoding="utf-8")
    return Vocabulary(tokens, model)


def _load(model: bytes):
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(model_proto=model)


def _token_list(model: bytes) -> tuple[str, ...]:
    processor = _load(model)
    pieces = [processor.id_to_piece(i) for i in range(processor.get_piece_size())]
    return (BLANK, *pieces, *(f"<{task}>" for task in _TEXT_TASKS), EOS)
