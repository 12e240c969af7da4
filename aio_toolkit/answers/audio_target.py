"""True sources, to be learnt from. Letters: B batch, N sources, S samples, T frames, Q codebooks.

What a mixture holds besides its targets, its residual, follows from the mixture and is not kept;
it has codes, though, where sources have them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from aio_toolkit.answers.padding import pad_arrays


@dataclass
class AudioTarget:
    """The answer to one example.

    Attributes:
        wave_NS: waves of the task's targets, silent where the mixture does not have them.
        codes_NTQ: codes of the targets, and of the residual where the task has one; None for
            mixtures that were made on the fly, or where codes are not asked for.
    """

    wave_NS: np.ndarray
    codes_NTQ: np.ndarray | None = None


@dataclass
class AudioTargets:
    """The answers to the rows of a batch.

    Attributes:
        wave_BNS: waves of the targets, zero on padding.
        codes_BNTQ: codes, -1 on padding and in rows without; None where no row has any.
    """

    wave_BNS: torch.Tensor
    codes_BNTQ: torch.Tensor | None = None


def pad_targets(targets: Sequence[AudioTarget], num_samples: int, hop: int) -> AudioTargets:
    """Answers of one task as a batch.

    Args:
        targets: one at least.
        num_samples: length of the waves with their padding.
        hop: samples of a frame.

    >>> coded = AudioTarget(np.ones((2, 640), np.float32), np.ones((2, 2, 4), np.int16))
    >>> fresh = AudioTarget(np.ones((2, 500), np.float32))
    >>> batch = pad_targets([coded, fresh], num_samples=900, hop=320)
    >>> batch.wave_BNS.shape, batch.codes_BNTQ[:, 0, :, 0].tolist()
    (torch.Size([2, 2, 900]), [[1, 1, -1], [-1, -1, -1]])
    """
    waves = [target.wave_NS for target in targets]
    known = [target.codes_NTQ for target in targets if target.codes_NTQ is not None]
    codes_BNTQ = None
    if known:
        nothing_NTQ = known[0][:, :0]
        codes = [nothing_NTQ if t.codes_NTQ is None else t.codes_NTQ for t in targets]
        codes_BNTQ = pad_arrays(codes, -1, axis=1, length=-(-num_samples // hop))
    return AudioTargets(
        wave_BNS=pad_arrays(waves, 0.0, axis=1, length=num_samples),
        codes_BNTQ=codes_BNTQ,
    )
