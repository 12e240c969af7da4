"""Audio heads, their paths, and frames of sources for both, small and random."""

import torch
from tiny import HOP, named, sources_of

from aio_toolkit.answers.audio import CodecUnits
from aio_toolkit.answers.audio_target import AudioTargets
from aio_toolkit.codec.base import CodecFingerprint
from aio_toolkit.config import from_values
from aio_toolkit.heads.audio import AudioHead
from aio_toolkit.heads.base import Frames
from aio_toolkit.heads.paths.base import References, SourceFrames
from aio_toolkit.layers import valid_frames
from aio_toolkit.tasks import Task

# Width of the backbone and of a source's frames.
WIDTH, INNER = 10, 12
# Codebooks, codes in each, channels of the latents.
Q, V, C = 3, 7, 5
SEP, ENH, SOUND, MUSIC = named("sep", "enh", "sound", "music")


def units_of(embedding_QVC: torch.Tensor | None = None) -> CodecUnits:
    """A codec of these vectors, or of random ones."""
    if embedding_QVC is None:
        embedding_QVC = torch.randn(Q, V, C)
    sizes = embedding_QVC.shape
    fingerprint = CodecFingerprint("random", "0f", 16000, 320, *sizes)
    return CodecUnits(fingerprint, embedding_QVC, torch.zeros(sizes[0], dtype=torch.long))


def make_head(embedding_QVC: torch.Tensor | None = None, **paths: dict) -> AudioHead:
    """A head of four tasks that learns from codes; keywords are sections of YAML of its paths."""
    torch.manual_seed(0)
    units = units_of(embedding_QVC)
    sections = {"mask": {"weight": 0.0}}
    for kind in ("latent", "classes"):
        sections[kind] = {"weight": 1.0} | paths.pop(kind, {})
    values = {"width": INNER, "permutation_by": "latent", "paths": sections | paths}
    config = from_values(AudioHead.Config, values, "heads.audio")
    return AudioHead(config, WIDTH, [SEP, ENH, SOUND, MUSIC], units)


def make_trained(**paths: dict) -> AudioHead:
    """A head whose estimates differ from one another, as they do not at the start."""
    head = make_head(**paths)
    torch.nn.init.normal_(head.paths["latent"].linear.weight, std=0.3)
    return head


def frames_of(
    h_BTD: torch.Tensor, lengths: list[int], task: Task, mixture_BTC: torch.Tensor
) -> Frames:
    """What a head reads; beside the latents of the mixture stand features of something else."""
    B, T = h_BTD.shape[:2]
    lengths_B = torch.tensor(lengths)
    valid_BT = valid_frames(lengths_B, T)
    features = {
        "log_mel": torch.full((B, T, 4), 99.0),
        "codec_latents": mixture_BTC * valid_BT[..., None],
    }
    wave_BS = torch.randn(B, T * HOP) * valid_BT.repeat_interleave(HOP, 1)
    return Frames(h_BTD, lengths_B, task, wave_BS, lengths_B * HOP, features)


def random_frames(lengths: list[int], task: Task) -> Frames:
    """Random frames and mixtures."""
    B, T = len(lengths), max(lengths)
    return frames_of(torch.randn(B, T, WIDTH), lengths, task, torch.randn(B, T, C))


def random_codes(frames: Frames) -> torch.Tensor:
    """Codes (B, N, T, Q) of every source of a task, -1 on padding."""
    B, T = frames.h_BTD.shape[:2]
    target_BNTQ = torch.randint(V, (B, len(sources_of(frames.task)), T, Q))
    for target_NTQ, length in zip(target_BNTQ, frames.lengths_B, strict=True):
        target_NTQ[:, length:] = -1
    return target_BNTQ


def source_frames(lengths: list[int], num_sources: int) -> SourceFrames:
    """What a path reads: random frames of sources, the mixture zero on padding."""
    B, T = len(lengths), max(lengths)
    valid_BT = valid_frames(torch.tensor(lengths), T)
    mixture_BTC = torch.randn(B, T, C) * valid_BT[..., None]
    return sources_of_mixture(torch.randn(B, num_sources, T, INNER), mixture_BTC, lengths)


def sources_of_mixture(
    g_BNTD: torch.Tensor, mixture_BTC: torch.Tensor, lengths: list[int] | None = None
) -> SourceFrames:
    """Frames of sources and latents of their mixture, whose wave is noise."""
    B, _, T, _ = g_BNTD.shape
    lengths_B = torch.tensor(lengths or [T] * B)
    valid_BT = valid_frames(lengths_B, T)
    wave_BS = torch.randn(B, T * HOP) * valid_BT.repeat_interleave(HOP, 1)
    features = {"codec_latents": mixture_BTC}
    return SourceFrames(g_BNTD, lengths_B, wave_BS, lengths_B * HOP, features)


def refs(codes_BNTQ: torch.Tensor) -> References:
    """References of which codes are all that counts."""
    B, N, T, _ = codes_BNTQ.shape
    return References(torch.zeros(B, N, T * HOP), codes_BNTQ)


def targets_of(frames: Frames, codes_BNTQ: torch.Tensor) -> AudioTargets:
    """The same for a head, whose targets do not hold the wave of the residual."""
    B, _, T, _ = codes_BNTQ.shape
    return AudioTargets(torch.zeros(B, len(frames.task.targets), T * HOP), codes_BNTQ)
