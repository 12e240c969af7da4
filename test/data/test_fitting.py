"""References that are a little longer or shorter than their mixture are made to fit."""

import sys

import numpy as np
import pytest
from tiny import ALL, TASKS_YAML

from aio_toolkit.bin import fit_targets as command
from aio_toolkit.data.audio import read_audio
from aio_toolkit.data.datadir import Utterance, read_data_dir, write_data_dir
from aio_toolkit.data.validate import validate_data_dir
from aio_toolkit.data.wav_writer import Subtype, write_wav
from aio_toolkit.errors import AioError

RATE = 8000


@pytest.fixture
def data(tmp_path):
    """A mixture of two, one of which is longer and one shorter, and another in order."""

    def wav(name: str, size: int) -> str:
        wave_S = np.linspace(0.1, 2, size)
        write_wav(tmp_path / f"{name}.wav", wave_S, RATE, Subtype.float_32)
        return str(tmp_path / f"{name}.wav")

    sources = {"spk1": wav("long", 1010), "spk2": wav("short", 995)}
    fits = {"spk1": wav("fits", 1000), "spk2": sources["spk1"]}
    mixture = wav("mix", 1000)
    utterances = [
        Utterance("sep-1", ALL["sep"], "a", mixture, 1000, sources),
        Utterance("sep-2", ALL["sep"], "a", wav("mix2", 1010), 1000, fits),
        Utterance("asr-1", ALL["asr"], "a", mixture, 1000, {"text": "yes"}),
    ]
    write_data_dir(tmp_path / "data", utterances, ALL)
    return tmp_path / "data"


@pytest.fixture
def run(monkeypatch):
    def run(data, *words: str) -> None:
        options = ["--tasks_config", str(TASKS_YAML), "--sample_rate", str(RATE), *words]
        monkeypatch.setattr(sys, "argv", ["fit_targets", str(data), *options])
        command.main()

    return run


def test_what_the_check_refuses_is_in_order_afterwards(data, run, capsys):
    with pytest.raises(AioError, match=r"run: ../../utils/fit_targets.sh .*data") as refused:
        validate_data_dir(data, ALL, RATE)
    assert "4 problems" in str(refused.value)
    run(data)
    said = capsys.readouterr().out
    assert "sep-1 spk1: 1010 samples, now 1000" in said
    assert "sep-1 spk2: 995 samples, now 1000" in said
    assert "sep-2 spk1: 1000 samples, now 1010" in said
    assert "2 of 3 utterances changed" in said
    validate_data_dir(data, ALL, RATE)

    speech, first, second = read_data_dir(data, ALL)
    assert speech.answers == {"text": "yes"}
    wanted_S = np.linspace(0.1, 2, 1010).astype(np.float32)
    np.testing.assert_array_equal(read_audio(first.answers["spk1"], RATE), wanted_S[:1000])
    padded_S = read_audio(first.answers["spk2"], RATE)
    np.testing.assert_array_equal(padded_S[:995], np.linspace(0.1, 2, 995).astype(np.float32))
    assert not padded_S[995:].any() and len(padded_S) == 1000
    # What fits is left where it is.
    assert second.num_samples == 1010 and second.answers["spk2"].endswith("long.wav")


def test_what_differs_by_more_is_of_another_recording(data, run):
    with pytest.raises(SystemExit) as ended:
        run(data, "--most", "0.001")
    told = str(ended.value.code)
    assert "spk1.scp: sep-1: " in told and "has 1010 samples, its input 1000" in told
    with pytest.raises(AioError, match="has 1010 samples"):
        validate_data_dir(data, ALL, RATE)
    run(data, "--most", str(10 / RATE))
    validate_data_dir(data, ALL, RATE)
