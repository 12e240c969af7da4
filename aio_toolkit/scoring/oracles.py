"""Bounds of audio answers, made of the true sources. Letters: N sources, S samples."""

import functools

import numpy as np
import torch

from aio_toolkit.codec.base import Codec, load_codec
from aio_toolkit.masks import WienerFilter


@torch.inference_mode()
def oracles(
    mixture_S: np.ndarray, sources_NS: np.ndarray, codec: str, wiener: WienerFilter
) -> dict[str, np.ndarray]:
    """Estimates (N, S) of a model without error, by output.

    - `oracle_codec`: the true sources through the codec;
    - `oracle_wiener`: the mixture filtered with those, their phase kept where it fits;
    - `ideal_mask`: the mixture under masks made of the true sources.

    Args:
        mixture_S: the input.
        sources_NS: the true sources, the residual included, as the model estimates it too.
        codec: folder, file or name of a codec.
        wiener: the filter.

    >>> wave_NS = np.stack([np.sin(np.arange(960) / 9), np.cos(np.arange(960) / 5)])
    >>> wave_NS = wave_NS.astype(np.float32) / 3
    >>> wiener = WienerFilter(WienerFilter.Config())
    >>> bounds = oracles(wave_NS.sum(0), wave_NS, "egs/mini_aio/codec", wiener)
    >>> bounds["ideal_mask"].shape, sorted(bounds)
    ((2, 960), ['ideal_mask', 'oracle_codec', 'oracle_wiener'])
    """
    mixture = torch.from_numpy(mixture_S)
    sources = torch.from_numpy(sources_NS)
    loaded = _load(codec)
    codes = []
    for source_S in sources:
        # One at a time, as in stage 2: the order of float additions depends on a batch's size.
        encoded = loaded.encode(source_S[None])
        codes.append(encoded.codes_BTQ)
    codes_NTQ = torch.cat(codes)
    # The codec completes the last frame.
    coded = loaded.decode(codes_NTQ)[:, : len(mixture_S)]

    filtered = wiener.oracle(mixture, coded)
    masked = wiener.ideal_mask(mixture, sources)
    return {
        "oracle_codec": coded.numpy(),
        "oracle_wiener": filtered.numpy(),
        "ideal_mask": masked.numpy(),
    }


@functools.cache
def _load(codec: str) -> Codec:
    """One codec a process, as loading takes longer than an utterance."""
    return load_codec(codec)
