"""Text by CTC alone: the best token of each frame."""

import torch

from aio_toolkit.decoding.ctc_prefix import BLANK


def best_paths(
    log_prob_BTV: torch.Tensor, lengths_B: torch.Tensor
) -> tuple[list[list[int]], list[float]]:
    """The tokens of the most likely path of each row, and its log probability.

    Repeats in neighbouring frames are one token; then blanks are left out.

    Args:
        log_prob_BTV: log probabilities of V tokens in T frames of B rows.
        lengths_B: real frames of each row.

    >>> log_prob_BTV = torch.eye(3)[[1, 1, 0, 1, 2, 2]].log_softmax(1)[None]
    >>> ids, scores = best_paths(log_prob_BTV, torch.tensor([5]))
    >>> ids[0], round(scores[0], 3) == round(5 * log_prob_BTV.max().item(), 3)
    ([1, 1, 2], True)
    """
    best_BT, token_BT = log_prob_BTV.max(2)
    ids, scores = [], []
    for best_T, token_T, length in zip(best_BT, token_BT, lengths_B.tolist(), strict=True):
        collapsed = token_T[:length].unique_consecutive().tolist()
        ids.append([token for token in collapsed if token != BLANK])
        scores.append(best_T[:length].sum().item())
    return ids, scores
