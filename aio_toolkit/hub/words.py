"""When each word of a sentence is said. Letters: T frames, V vocabulary, L tokens."""

from dataclasses import replace

import torch

from aio_toolkit.hub.formats import Word
from aio_toolkit.text import Vocabulary

# SentencePiece begins the first piece of a word with this letter.
BEGINS_WORD = "\u2581"


def align(
    log_prob_TV: torch.Tensor, sentence: str, vocabulary: Vocabulary, frame_rate: float
) -> list[Word]:
    """The words of a sentence where CTC hears them.

    The most likely path through the sentence's tokens (Viterbi) says in which frames each token is;
    a word lasts from its first token to its last. CTC's tokens are peaks, so words look short.

    Args:
        log_prob_TV: log probabilities of CTC in every frame of a recording.
        sentence: what is said in it.
        vocabulary: whose tokens they are; 0 is the blank.
        frame_rate: frames a second.

    Returns:
        The words in turn; none where there are too few frames for the sentence.

    >>> from aio_toolkit.text import train_sentencepiece
    >>> vocabulary = Vocabulary.of_model(train_sentencepiece(["a b"], vocab_size=4), ["asr"])
    >>> tokens = [0, *vocabulary.encode("b a"), 0]
    >>> log_prob_TV = torch.full((len(tokens), len(vocabulary)), -9.0)
    >>> log_prob_TV[range(len(tokens)), tokens] = 0.0
    >>> [word.text for word in align(log_prob_TV, "b a", vocabulary, frame_rate=50.0)]
    ['b', 'a']
    """
    # Slow to import.
    from torchaudio.functional import forced_align, merge_tokens

    ids = vocabulary.encode(sentence)
    # Between two tokens alike there has to be a blank.
    repeats = sum(a == b for a, b in zip(ids, ids[1:], strict=False))
    if not ids or len(log_prob_TV) < len(ids) + repeats:
        return []
    path_1T, score_1T = forced_align(log_prob_TV[None].float().cpu(), torch.tensor([ids]))

    words: list[Word] = []
    for span in merge_tokens(path_1T[0], score_1T[0]):
        piece = vocabulary.tokens[span.token]
        letters = piece.removeprefix(BEGINS_WORD)
        end = span.end / frame_rate
        if piece.startswith(BEGINS_WORD) or not words:
            words.append(Word(letters, span.start / frame_rate, end))
        else:
            words[-1] = replace(words[-1], text=words[-1].text + letters, end=end)
    return words
