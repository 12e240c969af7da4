"""Bounds of audio answers, made of the true sources. Letters: N sources, S samples."""

import functools

import numpy as np
import torch

from aio_toolkit.codec.base import Codec, load_codec
from aio_toolkit.masks import WienerFilter
from aio_toolkit.stft import SubframeStft


@torch.inference_mode()
def ideal_mask(mixture_S: np.ndarray, sources_NS: np.ndarray, hop: int) -> np.ndarray:
    """The mixture under the ideal ratio masks of the STFT that the mask path works on, (N, S).

    It is the like-for-like ceiling of magnitude masks with the mixture's phase.

    Args:
        mixture_S: the input.
        sources_NS: the true sources, the residual included.
        hop: samples of a frame.

    >>> wave_NS = np.stack([np.sin(np.arange(960) / 9), np.zeros(960)]).astype(np.float32)
    >>> bool(np.allclose(ideal_mask(wave_NS.sum(0), wave_NS, hop=320), wave_NS, atol=1e-4))
    True
    """
    stft = SubframeStft(hop)
    source_NKF = stft(torch.from_numpy(sources_NS))
    mixture_KF = stft(torch.from_numpy(mixture_S)[None])[0]
    level_NKF = source_NKF.abs()
    # Where nobody claims a bin (digital silence) it is shared evenly, which keeps the sum.
    level_NKF = level_NKF + 1e-9
    masked_NKF = level_NKF / level_NKF.sum(0) * mixture_KF
    columns_N = torch.full((len(sources_NS),), masked_NKF.shape[1])
    return stft.inverse(masked_NKF, columns_N, len(mixture_S)).numpy()


@torch.inference_mode()
def codec_bounds(
    mixture_S: np.ndarray, sources_NS: np.ndarray, codec: str, wiener: WienerFilter
) -> dict[str, np.ndarray]:
    """Estimates (N, S) of a model without error whose answers are codes, by output.

    - `oracle_codec`: the true sources through the codec, the ceiling of `codec`;
    - `oracle_wiener`: the mixture filtered with those, the ceiling of `wiener`: the filter has the
      options that answers were decoded with.

    Args:
        mixture_S: the input.
        sources_NS: the true sources, the residual included, as the model estimates it too.
        codec: folder, file or name of a codec.
        wiener: the filter.

    >>> wave_NS = np.stack([np.sin(np.arange(960) / 9), np.cos(np.arange(960) / 5)])
    >>> wave_NS = wave_NS.astype(np.float32) / 3
    >>> wiener = WienerFilter(WienerFilter.Config())
    >>> bounds = codec_bounds(wave_NS.sum(0), wave_NS, "egs/mini_aio/codec", wiener)
    >>> bounds["oracle_wiener"].shape, sorted(bounds)
    ((2, 960), ['oracle_codec', 'oracle_wiener'])
    """
    mixture = torch.from_numpy(mixture_S)
    loaded = load_once(codec)
    codes = []
    for source_S in torch.from_numpy(sources_NS):
        # One at a time, as in stage 2: the order of float additions depends on a batch's size.
        codes.append(loaded.encode(source_S[None]).codes_BTQ)
    # The codec completes the last frame.
    coded = loaded.decode(torch.cat(codes))[:, : len(mixture_S)]
    return {
        "oracle_codec": coded.numpy(),
        "oracle_wiener": wiener(mixture, coded).numpy(),
    }


@functools.cache
def load_once(codec: str) -> Codec:
    """One codec a process, as loading takes longer than an utterance."""
    return load_codec(codec)
