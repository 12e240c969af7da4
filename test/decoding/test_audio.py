"""From head to waves: the path of the mode, the codec, the filter, what is left out.

The codec bends waves, smoothly so that no rounding error grows; it completes the last frame.
"""

import dataclasses
from types import SimpleNamespace

import pytest
import torch
from sound_sources import ENH, INNER, SEP, SOUND, WIDTH, C, random_frames, units_of

from aio_toolkit.config import from_values
from aio_toolkit.decoding import audio
from aio_toolkit.decoding.audio import AudioDecoder
from aio_toolkit.errors import AioError
from aio_toolkit.heads.audio import AudioHead
from aio_toolkit.heads.base import Frames
from aio_toolkit.masks import WienerFilter, wiener

LENGTHS, SAMPLES = [5, 3, 4], [1600, 700, 1001]
UNITS = units_of()


class BendingCodec:
    """A frame of latents of any codec is its mean, times 320."""

    fingerprint, sample_rate = UNITS.fingerprint, 16000

    def encode(self, wave_BS: torch.Tensor) -> SimpleNamespace:
        padded_BS = torch.nn.functional.pad(wave_BS, (0, -wave_BS.shape[1] % 320))
        return SimpleNamespace(codes_BTQ=padded_BS.tanh())

    def decode(self, codes_BTQ: torch.Tensor) -> torch.Tensor:
        if codes_BTQ.ndim == 3:
            return codes_BTQ.float().mean(-1).repeat_interleave(320, 1)
        return codes_BTQ

    def quantize(self, latents_BTC: torch.Tensor) -> torch.Tensor:
        return (100 * latents_BTC).round()

    def decode_latents(self, latents_BTC: torch.Tensor) -> torch.Tensor:
        return self.decode(latents_BTC)


@pytest.fixture
def codec(monkeypatch) -> BendingCodec:
    made = BendingCodec()
    monkeypatch.setattr(audio, "load_codec", lambda where, device: {"mine": made}[where])
    return made


def make_head() -> AudioHead:
    torch.manual_seed(0)
    sections = {kind: {"weight": 1.0} for kind in ("mask", "latent", "classes")}
    config = from_values(AudioHead.Config, {"width": INNER, "paths": sections}, "head")
    head = AudioHead(config, WIDTH, [SEP, ENH, SOUND], UNITS)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return head.eval()


def decoder_of(mode: str = "mask", **options) -> AudioDecoder:
    return AudioDecoder(AudioDecoder.Config(codec="mine", mode=mode, **options), make_head(), UNITS)


def batch(task) -> Frames:
    """Three rows of different lengths; what pads frames is anything but zero."""
    torch.manual_seed(1)
    frames = random_frames(LENGTHS, task)
    samples_B = torch.tensor(SAMPLES)
    frames.wave_BS = frames.wave_BS * (torch.arange(1600) < samples_B[:, None])
    frames.samples_B = samples_B
    for row, length in enumerate(LENGTHS):
        frames.h_BTD[row, length:] = 9.0
    return frames


def row_of(frames: Frames, row: int) -> Frames:
    """The row as a batch of its own, without padding."""
    kept, length = slice(row, row + 1), LENGTHS[row]
    features = {name: of[kept, :length] for name, of in frames.features.items()}
    return dataclasses.replace(
        frames,
        h_BTD=frames.h_BTD[kept, :length],
        lengths_B=frames.lengths_B[kept],
        wave_BS=frames.wave_BS[kept, : SAMPLES[row]],
        samples_B=frames.samples_B[kept],
        features=features,
    )


@pytest.mark.parametrize("task", [ENH, SOUND], ids=lambda task: task.name)
@torch.inference_mode()
def test_every_output_is_made_of_the_one_before_and_of_the_row_s_own_mixture(codec, task):
    options = WienerFilter.Config(window=128, power=1.3, detail=0.4)
    decoder, frames = decoder_of(wiener=options), batch(task)
    for row, answer in enumerate(decoder.decode(frames)):
        alone = row_of(frames, row)
        sources = decoder.head.split(alone)
        masked_NS = decoder.path.outputs(sources, None, "mask")["masked"][0]
        coded_NS = masked_NS.tanh()
        filtered_NS = wiener(alone.wave_BS[0], coded_NS, 128, 1.3, 0.4)
        wanted = {"masked": masked_NS, "codec": coded_NS, "wiener": filtered_NS}
        assert answer.outputs.keys() == wanted.keys()
        for output, want_NS in wanted.items():
            found = answer.outputs[output]
            # The residual comes last and is nobody's answer.
            assert list(found) == list(task.targets)
            for want_S, wave_S in zip(want_NS, found.values(), strict=False):
                torch.testing.assert_close(wave_S, want_S, atol=1e-5, rtol=1e-4)
        assert answer.sample_rate == 16000


@pytest.mark.parametrize(
    ("mode", "outputs"),
    [
        ("mask", ["masked", "codec", "wiener"]),
        ("latent", ["codec", "wiener"]),
        ("argmax", ["codec", "wiener"]),
        ("soft", ["codec", "wiener"]),
    ],
)
@torch.inference_mode()
def test_a_row_of_a_batch_is_decoded_as_it_is_alone(codec, mode, outputs):
    decoder, frames = decoder_of(mode), batch(SEP)
    for row, answer in enumerate(decoder.decode(frames)):
        [alone] = decoder.decode(row_of(frames, row))
        assert list(answer.outputs) == list(alone.outputs) == outputs
        for output, found in answer.outputs.items():
            for target, wave_S in found.items():
                assert len(wave_S) == SAMPLES[row]
                want_S = alone.outputs[output][target]
                torch.testing.assert_close(wave_S, want_S, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_latents_go_through_the_quantizer(codec):
    decoder, frames = decoder_of("latent"), batch(SEP)
    [answer] = decoder.decode(row_of(frames, 1))
    latents_BNTC = decoder.path.latents(decoder.head.split(row_of(frames, 1)))
    want_NS = (100 * latents_BNTC[0]).round().mean(-1).repeat_interleave(320, 1)[:, : SAMPLES[1]]
    assert latents_BNTC.shape[-1] == C
    torch.testing.assert_close(torch.stack(list(answer.outputs["codec"].values())), want_NS)


def test_an_unknown_mode_is_named_before_the_codec_is_loaded(monkeypatch):
    monkeypatch.setattr(audio, "load_codec", lambda *_, **__: pytest.fail("loaded"))
    with pytest.raises(AioError, match="unknown audio.mode 'mean'. Choose one of: argmax, soft"):
        decoder_of("mean")


def test_another_codec_than_the_model_s_is_refused(codec):
    codec.fingerprint = dataclasses.replace(UNITS.fingerprint, name="another")
    with pytest.raises(AioError, match="codec mine: made for another one .name is another"):
        decoder_of()
