"""The model that comes with mini_aio, and its examples: what a newcomer hears first."""

import itertools
from pathlib import Path

import numpy as np
import pytest

import aio_toolkit
from aio_toolkit.data.audio import read_audio
from aio_toolkit.data.datadir import Utterance, read_data_dir
from aio_toolkit.hub.model import Model

RECIPE = Path(__file__).resolve().parents[2] / "egs" / "mini_aio"
# Least gain over the mixture in dB; the means of the test split are higher.
LEAST_GAIN = {"sep": 3.0, "enh": 1.5, "sound": 3.0, "music": 10.0}


@pytest.fixture(scope="module")
def model() -> Model:
    return aio_toolkit.load(RECIPE / "pretrained", codec=RECIPE / "codec", device="cpu")


@pytest.fixture
def examples(model, monkeypatch) -> dict[str, Utterance]:
    """The utterance of each task."""
    monkeypatch.chdir(RECIPE)  # data dirs hold paths from here
    return {u.task.name: u for u in read_data_dir(RECIPE / "examples", model.tasks)}


def test_it_is_small_and_knows_the_tasks_of_the_recipe(model, examples):
    size = sum(path.stat().st_size for path in (RECIPE / "pretrained").rglob("*"))
    assert size <= 20_000_000
    assert list(model.tasks) == ["asr", "st", "sep", "enh", "sound", "music"]
    assert examples.keys() == model.tasks.keys()


def test_it_hears_and_translates_what_is_said(model, examples):
    said, translated = examples["asr"], examples["st"]
    assert model.transcribe(said.wav).text == said.answers["text"]
    assert model.translate(translated.wav, to="fr").text == translated.answers["text.fr"]


def si_sdr(estimate_S: np.ndarray, true_S: np.ndarray) -> float:
    """Le Roux et al. 2019, Eq. 3, in dB."""
    part_S = (estimate_S @ true_S) / (true_S @ true_S) * true_S
    rest_S = estimate_S - part_S
    return float(10 * np.log10((part_S @ part_S) / (rest_S @ rest_S)))


@pytest.mark.parametrize("task", LEAST_GAIN)
def test_it_takes_mixtures_apart(model, examples, task):
    example = examples[task]
    mixture_S = read_audio(example.wav, model.rate)
    names = [name for name in example.task.targets if name in example.answers]
    true_NS = [read_audio(example.answers[name], model.rate) for name in names]
    answer = model.answer(task, example.wav)
    estimate_NS = [np.asarray(answer[name])[0] for name in names]

    if task in ("sep", "sound"):
        orders = list(itertools.permutations(range(len(names))))
    else:
        orders = [tuple(range(len(names)))]
    means = [
        np.mean([si_sdr(estimate_NS[i], true_S) for i, true_S in zip(order, true_NS, strict=True)])
        for order in orders
    ]
    floor = np.mean([si_sdr(mixture_S, true_S) for true_S in true_NS])
    assert max(means) - floor > LEAST_GAIN[task]


def test_its_codes_are_those_of_the_codec_beside_it(model, examples):
    answer = model.answer("enh", examples["enh"].wav, through="codec")
    assert answer["speech"].shape[-1] == examples["enh"].num_samples
