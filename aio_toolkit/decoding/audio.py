"""Waves by the codec's frozen decoder."""

import torch

from aio_toolkit.codec.base import Codec
from aio_toolkit.decoding.config import AudioConfig
from aio_toolkit.decoding.wiener import ratio_mask, wiener
from aio_toolkit.errors import AioError
from aio_toolkit.heads.codes import CodesHead

MODES = ("latent", "soft", "argmax")


def estimate_waves(
    head: CodesHead, codec: Codec, h_TD: torch.Tensor, mixture_TC: torch.Tensor, task: str, num_samples: int, mode: str
) -> torch.Tensor:
    """Plain codec output (N, S) of every target of one utterance.

    Args:
        head: the codes head.
        codec: the codec whose codes it predicts.
        h_TD: the utterance's backbone frames.
        mixture_TC: its codec latents.
        task: its task.
        num_samples: S.
        mode: one of `MODES`, see `decoding.config.AudioConfig`.

    Raises:
        AioError: unknown mode.
    """
    if mode == "latent":
        waves_NS = codec.decode(codec.quantise(head.latents(h_TD[None], task, mixture_TC[None])[0]))
    elif mode == "soft":
        waves_NS = codec.decode_latents(head.soft_latents(h_TD[None], task)[0])
    elif mode == "argmax":
        waves_NS = codec.decode(head.argmax_codes(h_TD[None], task)[0])
    else:
        raise AioError(f"unknown audio.mode '{mode}'. Choose one of: {', '.join(MODES)}.")
    return waves_NS[:, :num_samples]


def mixture_consistent(mixture_S: torch.Tensor, waves_NS: torch.Tensor, config: AudioConfig) -> torch.Tensor:
    """Wiener-filtered mixture (N, S) as configured."""
    return wiener(mixture_S, waves_NS, config.wiener_window, config.wiener_power, config.wiener_detail)


def oracle_wiener(mixture_S: torch.Tensor, coded_NS: torch.Tensor, config: AudioConfig) -> torch.Tensor:
    """What the filter (N, S) reaches with the true sources through the codec, whose phase it may trust."""
    return wiener(mixture_S, coded_NS, config.wiener_window, config.wiener_power, detail=1.0)


def ideal_mask(mixture_S: torch.Tensor, true_NS: torch.Tensor, config: AudioConfig) -> torch.Tensor:
    """What masks alone (N, S) reach with the true sources."""
    return ratio_mask(mixture_S, true_NS, config.wiener_window, config.wiener_power)
