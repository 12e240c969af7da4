"""Sources of recordings of any rate, length and number of channels."""

import numpy as np
import pytest
import torch
from tiny import RATE, named, tiny_model

from aio_toolkit.errors import AioError
from aio_toolkit.hub.answerers import audio as module
from aio_toolkit.hub.answerers.audio import AudioAnswerer
from aio_toolkit.hub.recording import to_recording
from aio_toolkit.models.aio import AioModel

TASKS = named("sep", "enh", "music")


@pytest.fixture(scope="module")
def model(vocabulary) -> AioModel:
    """A model whose sources differ from one another."""
    model = tiny_model(vocabulary, tasks=TASKS).eval()
    torch.nn.init.normal_(model.heads["audio"].paths["mask"].linear.weight)
    return model


def answerer(model: AioModel, task: str) -> AudioAnswerer:
    return AudioAnswerer(model, next(one for one in model.tasks if one.name == task), no_codec)


def no_codec():
    raise AssertionError("masks need none")


def answered(one: AudioAnswerer, wave_CS: np.ndarray, rate: int, at_once: int = 3, **options):
    chosen = AudioAnswerer.Options(**{"num_sources": one._num_equals or None} | options)
    (answer,) = [
        one.joined(pieces, chosen)
        for pieces in one.answers([lambda: to_recording(wave_CS, rate)], chosen, at_once)
    ]
    return answer


def noise(channels: int, num_samples: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((channels, num_samples)).astype(np.float32) / 4


@pytest.mark.parametrize("task", ["sep", "enh", "music"])
@pytest.mark.parametrize(
    ("rate", "channels", "num_samples"),
    [
        (RATE, 1, 1),
        (RATE, 2, 160),
        (RATE, 1, 16001),
        (44100, 2, 30011),
        (8000, 1, 4001),
        (96000, 8, 30011),
    ],
)
def test_targets_and_rest_add_up_to_the_recording(model, task, rate, channels, num_samples):
    wave_CS = noise(channels, num_samples)
    answer = answered(answerer(model, task), wave_CS, rate)
    assert tuple(answer.waves) == answerer(model, task).task.targets
    for made_CS in answer.waves.values():
        assert made_CS.shape == wave_CS.shape
    total_CS = sum(answer.waves.values()) + answer.rest
    np.testing.assert_allclose(total_CS, wave_CS, atol=1e-5)
    assert answer.rate == rate


def test_a_short_recording_is_answered_as_decoding_does(model):
    wave_CS = noise(1, 9007)
    one = answerer(model, "sep")
    frames = one.frames([wave_CS[0]])
    head = model.heads["audio"]
    with torch.inference_mode():
        made = head.path_of_mode("mask").outputs(head.split(frames), None, "mask")
    answer = answered(one, wave_CS, RATE)
    for want_S, found_CS in zip(made["masked"][0], answer.waves.values(), strict=True):
        np.testing.assert_allclose(found_CS[0], want_S.numpy(), atol=1e-6)


def test_masks_are_made_of_the_mean_of_all_channels_and_put_on_each(model):
    left_S, right_S = noise(2, 8000)
    one = answerer(model, "enh")
    both = answered(one, np.stack([left_S, right_S]), RATE)
    mixed = answered(one, (left_S + right_S)[None] / 2, RATE)
    # Masks are linear: those of the mean, on both channels, make the mean of the answers.
    mean_S = both["speech"].mean(0)
    np.testing.assert_allclose(mean_S, mixed["speech"][0], atol=1e-5)
    assert np.abs(both["speech"][0] - both["speech"][1]).max() > 0.01


@pytest.mark.parametrize("task", ["sep", "music"])
def test_a_long_recording_is_heard_in_windows_and_answered_in_full(model, task, monkeypatch):
    monkeypatch.setattr(module, "OVERLAP", 0.2)
    wave_CS = noise(2, 4 * RATE + 11)
    heard = []
    one = answerer(model, task)
    original = one.frames

    def frames(waves):
        heard.extend(len(wave_S) for wave_S in waves)
        return original(waves)

    one.frames = frames
    answer = answered(one, wave_CS, RATE, window=0.5)
    assert max(heard) == RATE // 2
    assert len(heard) == 10
    total_CS = sum(answer.waves.values()) + answer.rest
    np.testing.assert_allclose(total_CS, wave_CS, atol=1e-5)
    first = answered(one, wave_CS[:, : RATE // 2], RATE, window=0.5)
    for target, wave in answer.waves.items():
        beginning_CS = wave[:, : int(0.4 * RATE)]
        np.testing.assert_allclose(beginning_CS, first[target][:, : int(0.4 * RATE)], atol=1e-5)


@pytest.mark.parametrize(
    ("trained", "asked", "seconds"),
    [(0.75, None, 1.5), (0.1, None, 1.0), (0.75, 0.6, 0.6), (0.1, 1.2, 1.2)],
)
def test_windows_are_twice_as_long_as_examples_of_training_or_as_the_user_wants(
    model, trained, asked, seconds, monkeypatch
):
    monkeypatch.setitem(model.example_seconds, "enh", trained)
    one = answerer(model, "enh")
    windows = one.cut(to_recording(noise(2, 4 * RATE), RATE), one.Options(window=asked))
    lengths = [window_CS.shape[1] for window_CS in windows]
    assert set(lengths[:-1]) == {round(seconds * RATE)}
    # Neighbours share a quarter.
    shared = (len(lengths) - 1) * int(0.25 * round(seconds * RATE))
    assert sum(lengths) == 4 * RATE + shared


@pytest.mark.parametrize("window", [0.0, -1.0, 1e6, float("nan")])
def test_windows_that_nobody_could_hear_are_refused(model, window):
    one = answerer(model, "enh")
    with pytest.raises(AioError, match="window: .* is not from 0.01 to 3600 seconds. Choose"):
        one.check(one.Options(window=window))


def test_a_target_that_the_task_lacks_is_told_with_those_it_has(model):
    one = answerer(model, "enh")
    with pytest.raises(AioError, match="'enh' has no target 'drums'. Choose one of: speech"):
        one.check(one.Options(two_stems="drums"))


def test_level_goes_through(model):
    wave_CS = noise(1, 8000)
    loud, quiet = (answered(answerer(model, "enh"), gain * wave_CS, RATE) for gain in (3.0, 0.001))
    np.testing.assert_allclose(loud["speech"] / 3, quiet["speech"] * 1000, atol=1e-4)


def test_silence_is_answered_by_silence(model):
    answer = answered(answerer(model, "sep"), np.zeros((1, 5000), np.float32), RATE)
    assert not any(wave.any() for wave in answer.waves.values())


@pytest.mark.parametrize(("task", "equals"), [("sep", 2), ("enh", 0), ("music", 0)])
def test_only_targets_that_are_equals_may_change_places(model, task, equals, monkeypatch):
    asked = []

    def places(num_equals, profile):
        asked.append(num_equals)
        return lambda window_NCS, before_NCS: window_NCS

    monkeypatch.setattr(module, "Places", places)
    answered(answerer(model, task), noise(1, 800), RATE)
    assert asked == [equals]


def test_a_speaker_who_is_not_there_is_in_the_rest(model, monkeypatch):
    wave_CS, one = noise(1, 3000), answerer(model, "sep")
    both = answered(one, wave_CS, RATE)
    monkeypatch.setattr(one, "_silent", lambda energies, options: {"spk2"})
    found = answered(one, wave_CS, RATE)
    assert list(found.waves) == ["spk1"]
    np.testing.assert_allclose(found.rest, both.rest + both["spk2"], atol=1e-6)


def test_all_but_one_stem_is_in_the_rest_where_two_are_asked_for(model):
    wave_CS, one = noise(2, 3000), answerer(model, "music")
    found = answered(one, wave_CS, RATE, two_stems="drums")
    assert list(found.waves) == ["drums"]
    np.testing.assert_allclose(found["drums"] + found.rest, wave_CS, atol=1e-6)
