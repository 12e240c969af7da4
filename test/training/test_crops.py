"""Crops for codec training: what is drawn, and which batch holds what."""

from pathlib import Path

import numpy as np
import pytest
import torch

from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.wav_writer import write_wav
from aio_toolkit.tasks import load_tasks
from aio_toolkit.training.crops import CropBatches, CropDataset, frames_of_crops

TASKS = load_tasks(Path(__file__).parents[2] / "egs/TEMPLATE/conf/tasks.yaml")
RATE = 16000


def wav(path: Path, wave: np.ndarray) -> str:
    write_wav(path, wave, RATE, subtype="FLOAT")
    return str(path)


@pytest.fixture
def ramps(tmp_path):
    """A mixture and its two sources, whose samples are all different, and a sentence."""
    ramp = np.arange(1, 1001) / 4000
    paths = [wav(tmp_path / f"{n}.wav", ramp + n / 4) for n in range(3)]
    mixture = Utterance(
        "sep-1", TASKS["sep"], "s", paths[0], 1000, {"spk1": paths[1], "spk2": paths[2]}
    )
    spoken = Utterance("asr-1", TASKS["asr"], "s", paths[0], 1000, {"text": "a"})
    return [spoken, mixture]


def test_inputs_and_sources_are_drawn_and_texts_are_not(ramps):
    crops = CropDataset(ramps, RATE, num_samples=10, seed=0, length=200)
    quarters = [int(4 * crops[index][0]) for index in range(200)]
    assert len(crops.waves) == 4
    assert set(quarters) == {0, 1, 2}
    # The first wave is there twice: as the input of both utterances.
    assert quarters.count(0) == pytest.approx(100, abs=25)


def test_a_crop_is_a_stretch_of_its_wave(ramps):
    crops = CropDataset(ramps, RATE, num_samples=137, seed=0, length=30)
    for index in range(30):
        steps = crops[index].diff() * 4000
        torch.testing.assert_close(steps, torch.ones(136), atol=1e-2, rtol=0)


def test_crops_begin_anywhere_in_a_wave(ramps):
    crops = CropDataset(ramps[:1], RATE, num_samples=990, seed=0, length=300)
    starts = {round(4000 * crops[index][0].item()) - 1 for index in range(300)}
    assert starts == set(range(11))


def test_a_crop_depends_on_seed_and_number_alone(ramps):
    once = CropDataset(ramps, RATE, num_samples=50, seed=3, length=9)
    again = CropDataset(ramps, RATE, num_samples=50, seed=3, length=5)
    other = CropDataset(ramps, RATE, num_samples=50, seed=4, length=5)
    _ = once[7]
    assert all(torch.equal(once[index], again[index]) for index in range(5))
    assert not all(torch.equal(once[index], other[index]) for index in range(5))


def test_short_waves_are_padded_with_zeros(tmp_path):
    short = Utterance("asr-1", TASKS["asr"], "s", wav(tmp_path / "a.wav", np.full(7, 0.5)), 7)
    crop = CropDataset([short], RATE, num_samples=10, seed=0, length=1)[0]
    assert crop.tolist() == [0.5] * 7 + [0.0] * 3


def test_silence_is_drawn_only_where_there_is_nothing_else(tmp_path):
    wave = np.zeros(4000)
    wave[1000:3000] = 0.1
    half = Utterance("asr-1", TASKS["asr"], "s", wav(tmp_path / "a.wav", wave), 4000)
    crops = CropDataset([half], RATE, num_samples=10, seed=0, length=200)
    silent = sum(not crop.any() for crop in map(crops.__getitem__, range(200)))
    # Half of all draws are silent; an item is so after eight such draws.
    assert silent <= 8


@pytest.mark.parametrize("num_ranks", [1, 3])
def test_processes_share_all_crops_and_take_each_once(num_ranks):
    batches = [list(CropBatches(4, 5, rank, num_ranks, start=0)) for rank in range(num_ranks)]
    taken = sorted(crop for of_rank in batches for batch in of_rank for crop in batch)
    assert taken == list(range(4 * 5 * num_ranks))


def test_a_resumed_process_goes_on_where_it_was():
    whole = list(CropBatches(6, 3, rank=1, num_ranks=2, start=0))
    resumed = CropBatches(6, 3, rank=1, num_ranks=2, start=4)
    assert list(resumed) == whole[4:]
    assert len(resumed) == 6


def test_frames_weigh_the_inverse_of_their_crop_s_power(ramps):
    crops = CropDataset(ramps, RATE, num_samples=20, seed=0, length=6)
    network = torch.nn.Conv1d(1, 3, 5, stride=5)
    with torch.no_grad():
        frames_NC, weight_N = frames_of_crops(network, crops, 3, 2, torch.device("cpu"))
        assert frames_NC.shape == (24, 3)
        for index in range(6):
            frames_CT = network(crops[index][None])
            of_crop = slice(4 * index, 4 * index + 4)
            torch.testing.assert_close(frames_NC[of_crop], frames_CT.T)
            want = 1 / (crops[index].square().mean().item() + 1e-6)
            assert weight_N[of_crop].tolist() == pytest.approx([want] * 4, rel=1e-4)
