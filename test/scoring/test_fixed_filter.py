"""Fixed filters: what can be told by frequency alone, and no more."""

import numpy as np
import pytest
import torch
from tiny import ALL

from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.wav_writer import Subtype, write_wav
from aio_toolkit.scoring.fixed_filter import WINDOW, FixedFilter, bands, fit_filter
from aio_toolkit.scoring.separation import assign, si_sdr_by_query

RATE, SIZE = 16000, 16000


def band_noise(seed: int, low: float, high: float) -> np.ndarray:
    """Noise between two frequencies."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(SIZE))
    frequency = np.fft.rfftfreq(SIZE, 1 / RATE)
    spectrum[(frequency < low) | (frequency >= high)] = 0
    wave_S = np.fft.irfft(spectrum, SIZE)
    return (0.1 * wave_S / wave_S.std()).astype(np.float32)


@pytest.fixture
def make(tmp_path):
    """The function that writes an utterance with these sources; the mixture is their sum."""

    def write(task: str, number: int, rest: np.ndarray | None = None, **waves: np.ndarray):
        answers = {name: str(tmp_path / f"{task}-{number}-{name}.wav") for name in waves}
        for name, path in answers.items():
            write_wav(path, waves[name], RATE, Subtype.float_32)
        mixture = str(tmp_path / f"{task}-{number}.wav")
        total_S = sum(waves.values()) + (0 if rest is None else rest)
        write_wav(mixture, total_S, RATE, Subtype.float_32)
        return Utterance(f"{task}-{number}", ALL[task], "s", mixture, SIZE, answers)

    return write


def test_a_queried_source_gets_its_share_of_the_mean_spectra(make):
    """Speech below 2 kHz, noise from 1 kHz on with a third of the power there: 3/4 of what both
    have is speech's."""
    train = []
    for n in range(12):
        speech_S = band_noise(n, 0, 2000)
        noise_S = band_noise(100 + n, 1000, 8000)
        noise_S *= np.sqrt(7 / 2 / 3)
        train.append(make("enh", n, rest=noise_S, speech=speech_S))
    gain_NF = fit_filter(ALL["enh"], train, [], RATE).gain_NF
    frequency_F = torch.linspace(0, 8000, WINDOW // 2 + 1)
    for low, high, want in ((100, 900, 1.0), (1100, 1900, 0.75), (2200, 7800, 0.0)):
        inside_F = (frequency_F > low) & (frequency_F < high)
        assert gain_NF[0, inside_F].mean().item() == pytest.approx(want, abs=0.03)
    torch.testing.assert_close(gain_NF.sum(0), torch.ones(513))


def test_a_split_into_bands_finds_where_sources_meet(make):
    """Any estimate may be any source: which of the two is low changes from mixture to mixture."""
    dev = []
    for n in range(6):
        low_S, high_S = band_noise(n, 0, 700), band_noise(50 + n, 900, 8000)
        pair = {"spk1": low_S, "spk2": high_S} if n % 2 else {"spk1": high_S, "spk2": low_S}
        dev.append(make("sep", n, **pair))
    filtered = fit_filter(ALL["sep"], [], dev, RATE)
    gains = []
    for u in dev:
        waves = u.task.kind.waves(u, RATE)
        true_NS = np.stack(list(waves.values()))
        mixture_S = true_NS.sum(0)
        estimate_NS = filtered(mixture_S)
        gains.append(si_sdr_by_query(true_NS, estimate_NS[assign(true_NS, estimate_NS)]).mean())
    assert min(gains) > 8


def test_three_bands_add_up_to_the_mixture():
    made = bands([400, 2500], seam=1.0, sample_rate=RATE)
    torch.testing.assert_close(made.gain_NF.sum(0), torch.ones(513))
    mixture_S = band_noise(0, 0, 8000)
    np.testing.assert_allclose(made(mixture_S).sum(0), mixture_S, atol=1e-4)


def test_the_filter_does_to_a_wave_what_it_does_to_each_frequency():
    """A tone in the middle of a bin comes out with the gain of the bin."""
    gain_NF = torch.rand(2, WINDOW // 2 + 1, generator=torch.Generator().manual_seed(0))
    tone_S = np.sin(2 * np.pi * 64 * RATE / WINDOW * np.arange(SIZE) / RATE).astype(np.float32)
    smooth_NF = gain_NF[:, 64:65].expand(-1, 513).contiguous()
    found_NS = FixedFilter(smooth_NF)(tone_S)
    want_NS = gain_NF[:, 64].numpy()[:, None] * tone_S
    np.testing.assert_allclose(found_NS, want_NS, atol=1e-3)


def test_a_filter_comes_back_from_its_state():
    made = bands([600], seam=3.0, sample_rate=RATE)
    torch.testing.assert_close(FixedFilter.from_state(made.state()).gain_NF, made.gain_NF)
