"""From head to waves: which door of the codec they come through, the filter, what is left out.

The codec stands for itself: a frame of latents is a hop of samples, a code is one of them rounded.
"""

import dataclasses
from types import SimpleNamespace

import pytest
import torch
from tiny import ALL, CODEC, named

from aio_toolkit.answers.audio import CodecUnits
from aio_toolkit.config import from_values
from aio_toolkit.decoding import audio
from aio_toolkit.decoding.audio import AudioDecoder
from aio_toolkit.errors import AioError
from aio_toolkit.heads.audio import AudioHead
from aio_toolkit.heads.base import Frames
from aio_toolkit.masks import WienerFilter, wiener

HOP, WIDTH, RATE = 4, 6, 16000
LENGTHS, SAMPLES = (5, 3, 4), (18, 12, 13)


class RoundingCodec:
    """Notes how many frames it decodes."""

    sample_rate = RATE

    def __init__(self, fingerprint=CODEC):
        self.fingerprint = fingerprint
        self.decoded: list[int] = []

    def quantize(self, latents_BTC: torch.Tensor) -> torch.Tensor:
        return (100 * latents_BTC).round().long()

    def decode(self, codes_BTQ: torch.Tensor) -> torch.Tensor:
        return self.decode_latents(codes_BTQ / 100)

    def decode_latents(self, latents_BTC: torch.Tensor) -> torch.Tensor:
        self.decoded.append(latents_BTC.shape[1])
        return latents_BTC.flatten(1)


@pytest.fixture
def codec(monkeypatch) -> RoundingCodec:
    made = RoundingCodec()
    monkeypatch.setattr(audio, "load_codec", lambda where: {"mine": made}[where])
    return made


UNITS = CodecUnits(CODEC, torch.zeros(2, 3, HOP), torch.zeros(2))


def config(**options) -> AudioDecoder.Config:
    return AudioDecoder.Config(**{"codec": "mine"} | options)


class Path:
    """Sources are multiples of the frames; the first three values are the source's number."""

    def waves(self, frames, codec, mode: str) -> torch.Tensor:
        scale = {"latent": 1.0, "soft": 10.0}[mode]
        num_sources = len(frames.names)
        factors = scale * torch.arange(1, num_sources + 1.0)
        latents_NTC = factors[:, None, None] * frames.h_BTD[0]
        return codec.decode(codec.quantize(latents_NTC))[None]


class Head:
    """One path, which answers all modes."""

    def path_of_mode(self, mode: str) -> Path:
        return Path()

    def split(self, frames: Frames) -> SimpleNamespace:
        residual = frames.task.options.residual
        names = [*frames.task.targets, residual] if residual else list(frames.task.targets)
        return SimpleNamespace(h_BTD=frames.h_BTD, names=names)


def batch(task: str, width: int = HOP) -> Frames:
    """Three rows of different lengths; what pads them is anything but zero."""
    generator = torch.Generator().manual_seed(0)
    h_BTD = torch.randn(3, max(LENGTHS), width, generator=generator)
    feats_BTF = torch.randn(3, max(LENGTHS), 2 + HOP, generator=generator)
    wave_BS = torch.randn(3, max(SAMPLES), generator=generator)
    for row, (length, num_samples) in enumerate(zip(LENGTHS, SAMPLES, strict=True)):
        h_BTD[row, length:] = 9.0
        feats_BTF[row, length:] = -9.0
        wave_BS[row, num_samples:] = 9.0
    lengths_B, samples_B = torch.tensor(LENGTHS), torch.tensor(SAMPLES)
    return Frames(h_BTD, lengths_B, feats_BTF, ALL[task], wave_BS, samples_B)


def row_of(frames: Frames, row: int) -> Frames:
    """The row as a batch of its own, without padding."""
    kept = slice(row, row + 1)
    return dataclasses.replace(
        frames,
        h_BTD=frames.h_BTD[kept, : LENGTHS[row]],
        lengths_B=frames.lengths_B[kept],
        feats_BTF=frames.feats_BTF[kept, : LENGTHS[row]],
        wave_BS=frames.wave_BS[kept, : SAMPLES[row]],
        samples_B=frames.samples_B[kept],
    )


def rounded(frames: Frames, row: int, factor: float) -> torch.Tensor:
    """What the codec makes of a multiple of a row's frames, as long as the input."""
    latents_TC = factor * frames.h_BTD[row, : LENGTHS[row]]
    return ((100 * latents_TC).round() / 100).flatten()[: SAMPLES[row]]


def test_each_target_has_the_codec_s_wave_as_long_as_the_input(codec):
    frames = batch("sep")
    answers = AudioDecoder(config(), Head(), UNITS).decode(frames)
    for row, answer in enumerate(answers):
        assert list(answer.outputs["codec"]) == ["spk1", "spk2"]
        for factor, wave_S in enumerate(answer.outputs["codec"].values(), start=1):
            torch.testing.assert_close(wave_S, rounded(frames, row, factor))
        assert answer.sample_rate == RATE


def test_the_path_is_told_the_mode(codec):
    frames = batch("sep")
    answers = AudioDecoder(config(mode="soft"), Head(), UNITS).decode(frames)
    torch.testing.assert_close(answers[0].outputs["codec"]["spk1"], rounded(frames, 0, 10.0))


@pytest.mark.parametrize("task", ["enh", "sound"])
def test_the_mixture_is_filtered_with_all_sources_as_configured(codec, task):
    options = WienerFilter.Config(window=8, power=1.3, detail=0.4)
    frames = batch(task)
    answers = AudioDecoder(config(wiener=options), Head(), UNITS).decode(frames)
    num_sources = {"enh": 2, "sound": 3}[task]
    for row, answer in enumerate(answers):
        mixture_S = frames.wave_BS[row, : SAMPLES[row]]
        sources = [rounded(frames, row, factor) for factor in range(1, num_sources + 1)]
        want_NS = wiener(mixture_S, torch.stack(sources), 8, 1.3, 0.4)
        for want_S, wave_S in zip(want_NS, answer.outputs["wiener"].values(), strict=False):
            torch.testing.assert_close(wave_S, want_S)


def test_the_residual_is_nobody_s_answer(codec):
    answers = AudioDecoder(config(), Head(), UNITS).decode(batch("enh"))
    assert {tuple(waves) for answer in answers for waves in answer.outputs.values()} == {
        ("speech",)
    }


def test_padding_of_the_batch_does_not_reach_the_codec(codec):
    AudioDecoder(config(), Head(), UNITS).decode(batch("sep"))
    assert codec.decoded == list(LENGTHS)


MODES = ["latent", "argmax", "soft"]


def trained_head() -> AudioHead:
    """A head of all paths whose parameters are no longer those of the start."""
    torch.manual_seed(0)
    options = from_values(AudioHead.Config, {"width": 8}, "head")
    units = dataclasses.replace(UNITS, embedding_QVC=torch.randn(2, 3, HOP))
    head = AudioHead(options, WIDTH, named("enh", "sep"), units)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter)
    return head.eval()


class SummingCodec(RoundingCodec):
    """Its codes are indices, which stand for themselves."""

    def decode(self, codes_BTQ: torch.Tensor) -> torch.Tensor:
        return self.decode_latents(codes_BTQ.float().sum(-1, keepdim=True).expand(-1, -1, HOP))


@pytest.mark.parametrize("task", ["sep", "enh"])
@pytest.mark.parametrize("mode", MODES)
@torch.inference_mode()
def test_a_row_of_a_batch_is_decoded_to_the_bit_as_it_is_alone(monkeypatch, mode, task):
    monkeypatch.setattr(audio, "load_codec", lambda where: SummingCodec())
    decoder = AudioDecoder(config(mode=mode), trained_head(), UNITS)
    frames = batch(task, WIDTH)
    together = decoder.decode(frames)
    for row, answer in enumerate(together):
        (alone,) = decoder.decode(row_of(frames, row))
        for output, waves in answer.outputs.items():
            for target, wave_S in waves.items():
                assert torch.equal(wave_S, alone.outputs[output][target])


def test_an_unknown_mode_is_named_before_the_codec_is_loaded(monkeypatch):
    monkeypatch.setattr(audio, "load_codec", lambda where: pytest.fail("loaded"))
    with pytest.raises(AioError, match=f"unknown .*mode 'mean'.*{', '.join(sorted(MODES)[:1])}"):
        AudioDecoder(config(mode="mean"), trained_head(), UNITS)


def test_another_codec_than_the_model_s_is_refused(codec):
    codec.fingerprint = dataclasses.replace(CODEC, name="another")
    with pytest.raises(AioError, match="codec mine: made for another one .name is another"):
        AudioDecoder(config(), Head(), UNITS)


def test_frames_without_waves_are_a_bug(codec):
    frames = dataclasses.replace(batch("sep"), wave_BS=None)
    with pytest.raises(ValueError, match="needs the input's waves"):
        AudioDecoder(config(), Head(), UNITS).decode(frames)
