"""Text by ESPnet's batched beam search over attention decoder and CTC prefix scores."""

import torch
from espnet2.legacy.nets.batch_beam_search import BatchBeamSearch
from espnet2.legacy.nets.scorers.ctc import CTCPrefixScorer
from espnet2.legacy.nets.scorers.length_bonus import LengthBonus

from aio_toolkit.decoding.config import TextConfig
from aio_toolkit.heads.text import TextHead
from aio_toolkit.text import Vocabulary


def build_search(head: TextHead, vocabulary: Vocabulary, task: str, config: TextConfig) -> BatchBeamSearch:
    """Beam search that starts with the task's own token."""
    search = BatchBeamSearch(
        scorers={
            "decoder": head.decoder,
            "ctc": CTCPrefixScorer(head.ctc[task], vocabulary.eos),
            "length_bonus": LengthBonus(len(vocabulary)),
        },
        weights={
            "decoder": 1.0 - config.ctc_weight,
            "ctc": config.ctc_weight,
            "length_bonus": config.length_bonus,
        },
        beam_size=config.beam_size,
        vocab_size=len(vocabulary),
        sos=vocabulary.start(task),
        eos=vocabulary.eos,
        pre_beam_score_key=None if config.ctc_weight == 1.0 else "full",
    )
    return search.eval()


def decode_text(
    search: BatchBeamSearch,
    vocabulary: Vocabulary,
    h_BTD: torch.Tensor,
    lengths_B: torch.Tensor,
    config: TextConfig,
) -> list[str]:
    """Best sentence of each row of backbone frames."""
    longest = max(1, int(config.max_length_ratio * h_BTD.shape[1]))
    results = search(h_BTD, maxlenratio=-longest, x_lengths=lengths_B)
    # A search that ended with no finished hypothesis has nothing to say: an empty sentence, counted as errors.
    return [vocabulary.decode(nbest[0].yseq[1:].tolist()) if nbest else "" for nbest in results]
