"""What several objectives compute: classification by codebook, and how much vectors differ.

Letters: M masked frames, Q codebooks, V codes, C channels, X = Q * V.
"""

import torch
import torch.nn.functional as F

from aio_toolkit.codec.usage import entropy_share


def classify(
    logit_MX: torch.Tensor, label_MQ: torch.Tensor, codebook_size: int
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Cross-entropy of Q classifiers that stand side by side, and figures of each.

    Args:
        logit_MX: `codebook_size` logits of each classifier in turn.
        label_MQ: the right classes.
        codebook_size: classes V of each.

    Returns:
        Loss (Q,), and figures: accuracy and perplexity of each, and the entropy of the labels as a
        share of the largest possible. Few labels are easy to predict, so a high accuracy means
        little where that share is low.

    >>> loss_Q, figures = classify(torch.zeros(4, 6), torch.tensor([[0, 1]] * 4), codebook_size=3)
    >>> [round(value, 3) for value in loss_Q.exp().tolist()]
    [3.0, 3.0]
    >>> sorted(figures)
    ['accuracy_q0', 'accuracy_q1', 'label_usage', 'perplexity_q0', 'perplexity_q1']
    """
    M, Q = label_MQ.shape
    # bfloat16 would round the logarithm of a softmax over a thousand classes.
    logit_MQV = logit_MX.float().view(M, Q, codebook_size)
    logit_MVQ = logit_MQV.transpose(1, 2)
    loss_MQ = F.cross_entropy(logit_MVQ, label_MQ, reduction="none")
    loss_Q = loss_MQ.mean(0)

    best_MQ = logit_MQV.detach().argmax(-1)
    right_MQ = best_MQ == label_MQ
    figures = {
        **_by_codebook("accuracy", right_MQ.float().mean(0)),
        **_by_codebook("perplexity", loss_Q.detach().exp()),
        "label_usage": _label_usage(label_MQ, codebook_size),
    }
    return loss_Q, figures


def _by_codebook(name: str, value_Q: torch.Tensor) -> dict[str, torch.Tensor]:
    return {f"{name}_q{q}": value for q, value in enumerate(value_Q)}


def _label_usage(label_MQ: torch.Tensor, codebook_size: int) -> torch.Tensor:
    label_QM = label_MQ.T
    # Counted by adding ones, as one-hot vectors would take M * Q * V values.
    one_QM = torch.ones_like(label_QM, dtype=torch.float)
    count_QV = one_QM.new_zeros(len(label_QM), codebook_size)
    count_QV.scatter_add_(1, label_QM, one_QM)
    return entropy_share(count_QV).mean()


def spread(x_MC: torch.Tensor) -> torch.Tensor:
    """How much directions vary: 1 if vectors point anywhere, 0 if all point the same way.

    It is the standard deviation over M of vectors brought to norm sqrt(C), averaged over C.

    >>> spread(torch.tensor([[1.0, 1.0], [2.0, 2.0]])).item()
    0.0
    """
    C = x_MC.shape[-1]
    unit_MC = F.normalize(x_MC.float(), dim=-1)
    scaled_MC = unit_MC * C**0.5
    std_C = scaled_MC.std(0, unbiased=False)
    return std_C.mean()
