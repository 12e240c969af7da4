"""What CTC holds of sentences that begin in a certain way (Watanabe et al. 2017, algorithm 2).

Letters: B rows, H hypotheses of each, T frames, V vocabulary; and U = T + 1, the numbers of frames
that may have been heard.
"""

import torch

from aio_toolkit.layers import row_numbers

BLANK = 0
# Log probability of a token where there is silence for certain. Finite, since sums of it are
# subtracted from each other; its exponential is zero.
NEVER = -1e4
LOWEST = torch.finfo(torch.float64).min


class CtcPrefixes:
    """Log probability that a sentence begins with a hypothesis, by all ways to place its tokens.

    ESPnet's `CTCPrefixScoreTH` goes from frame to frame in Python, for all candidates of the next
    token. Here a score is a product of matrices, and only hypotheses that live on get forward
    variables: cumulative sums over frames, in double precision, since their terms differ by
    thousands.

    >>> log_prob_BTV = torch.tensor([[[0.5, 0.4, 0.1], [0.2, 0.7, 0.1]]]).log()
    >>> prefixes = CtcPrefixes(log_prob_BTV, torch.tensor([2]), eos=2)
    >>> score_BHV = prefixes.scores()
    >>> score_BHV.exp()[0, 0]  # blank never, "a..." in either frame, the end after two blanks
    tensor([0.0000, 0.7500, 0.1000], dtype=torch.float64)
    >>> prefixes.advance(torch.tensor([[0]]), torch.tensor([[1]]))
    >>> prefixes.scores().exp()[0, 0]  # "aa" needs a blank between
    tensor([0.0000, 0.0000, 0.7100], dtype=torch.float64)
    """

    def __init__(self, log_prob_BTV: torch.Tensor, lengths_B: torch.Tensor, eos: int):
        """Begin with the empty hypothesis in each row.

        Args:
            log_prob_BTV: of each frame.
            lengths_B: real frames of each row.
            eos: id of the token that ends a sentence.
        """
        self.eos = eos
        self.lengths_B = lengths_B
        self.log_prob_BTV = silent_padding(log_prob_BTV, lengths_B)
        self.prob_BTV = self.log_prob_BTV.double().exp()
        # The blank stands for no token: nothing begins with it.
        self.last_BH = lengths_B.new_full((len(lengths_B), 1), BLANK)
        # That the hypothesis is what was heard so far, if a blank comes last, and at all.
        self.blank_BHU = self._repeats(self.last_BH)
        self.all_BHU = self.blank_BHU

    def scores(self) -> torch.Tensor:
        """Log probabilities (B, H, V) of beginning so and with each token, or of ending so."""
        # Against underflow. Nothing is left of a hypothesis that is impossible.
        highest_BH1 = self.all_BHU.amax(2, keepdim=True).clamp_min(LOWEST)
        heard_BHT = (self.all_BHU - highest_BH1)[..., :-1].exp()
        prob_BHV = heard_BHT @ self.prob_BTV

        # A token is repeated only after a blank.
        silent_BHT = (self.blank_BHU - highest_BH1)[..., :-1].exp()
        prob_BHT = self.prob_BTV[row_numbers(self.last_BH), :, self.last_BH]
        again_BH = (silent_BHT * prob_BHT).sum(2)
        prob_BHV.scatter_(2, self.last_BH[..., None], again_BH[..., None])

        score_BHV = prob_BHV.log() + highest_BH1
        score_BHV[..., BLANK] = -torch.inf
        # All frames have been heard.
        end_BH1 = self.lengths_B[:, None, None].expand_as(highest_BH1)
        score_BHV[..., self.eos] = self.all_BHU.gather(2, end_BH1)[..., 0]
        return score_BHV

    def advance(self, parent_BH: torch.Tensor, token_BH: torch.Tensor) -> None:
        """Replace the hypotheses by some of their continuations.

        Args:
            parent_BH: number of the hypothesis that is continued.
            token_BH: the token behind it.
        """
        row_B1 = row_numbers(parent_BH)
        is_again_BH1 = (token_BH == self.last_BH[row_B1, parent_BH])[..., None]
        blank_BHU = self.blank_BHU[row_B1, parent_BH]
        before_BHU = torch.where(is_again_BH1, blank_BHU, self.all_BHU[row_B1, parent_BH])

        # The token comes somewhere and is repeated; then a blank comes and is repeated.
        token_BHU = _then(before_BHU, self._repeats(token_BH))
        self.blank_BHU = _then(token_BHU, self._repeats(torch.full_like(token_BH[:, :1], BLANK)))
        self.all_BHU = torch.logaddexp(token_BHU, self.blank_BHU)
        self.last_BH = token_BH

    def keep(self, row_A: torch.Tensor) -> None:
        """Forget all rows but some."""
        self.log_prob_BTV, self.prob_BTV = self.log_prob_BTV[row_A], self.prob_BTV[row_A]
        self.blank_BHU, self.all_BHU = self.blank_BHU[row_A], self.all_BHU[row_A]
        self.last_BH, self.lengths_B = self.last_BH[row_A], self.lengths_B[row_A]

    def _repeats(self, token_BH: torch.Tensor) -> torch.Tensor:
        """Log probability (B, H, U) of hearing nothing but a token in the first frames."""
        log_prob_BHT = self.log_prob_BTV[row_numbers(token_BH), :, token_BH]
        return _behind(0.0, log_prob_BHT.double().cumsum(2))


def silent_padding(log_prob_BTV: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
    """The same with a blank for certain in each frame of padding.

    >>> silent_padding(torch.full((1, 3, 2), -0.7), torch.tensor([2]))[0, :, 0]
    tensor([-0.7000, -0.7000,  0.0000])
    """
    T, V = log_prob_BTV.shape[1:]
    frame_T = torch.arange(T, device=log_prob_BTV.device)
    is_padding_BT1 = (frame_T >= lengths_B[:, None])[..., None]
    silence_V = log_prob_BTV.new_full((V,), NEVER)
    silence_V[BLANK] = 0.0
    return torch.where(is_padding_BT1, silence_V, log_prob_BTV)


def _then(before_BHU: torch.Tensor, repeat_BHU: torch.Tensor) -> torch.Tensor:
    """That a symbol came in some frame after `before`, and in all frames since.

    With x the symbol's log probability, y[u] = logaddexp(y[u - 1], before[u - 1]) + x[u]; less the
    sum of x up to u that is a cumulative sum.
    """
    since_BHU = (before_BHU - repeat_BHU)[..., :-1].logcumsumexp(2)
    return _behind(-torch.inf, since_BHU + repeat_BHU[..., 1:])


def _behind(first: float, x_BHT: torch.Tensor) -> torch.Tensor:
    """The same (B, H, U) behind a value for no frame at all."""
    first_BH1 = x_BHT.new_full((*x_BHT.shape[:2], 1), first)
    return torch.cat([first_BH1, x_BHT], 2)
