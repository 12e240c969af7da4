"""The wheel on a machine that has nothing else: it answers, and says what it would need for more.

Packages are fetched as pip is set up, and take 6 GB while the test runs.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from built_wheel import ROOT, build_sdist, build_wheel

pytestmark = pytest.mark.all

# What would let the new environment see this one.
VARIABLES = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
# Commands by the extra that they need.
IN_NEED = {
    "train": "train_ssl --config c --data d --dump d --out o",
    "metrics": "score --data d --decode d",
    "demo": "demo --model PACK",
    "codec": "answer --model PACK --codec dac-16khz --task enh --through codec --out o FILE",
}


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def bin(tmp_path_factory):
    """Where the programs of a new environment are, in which the wheel was installed."""
    folder = tmp_path_factory.mktemp("clean")
    wheel = build_wheel(build_sdist(folder), folder / "dist")
    pip = [folder / "venv/bin/python", "-m", "pip", "install", "-c", ROOT / "tools/constraints.txt"]
    for command in ([sys._base_executable, "-m", "venv", folder / "venv"], [*pip, wheel]):
        done = run(*command, cwd=folder)
        assert done.returncode == 0, done.stderr
    yield folder / "venv/bin"
    # pytest would keep them for three runs.
    shutil.rmtree(folder)


@pytest.fixture
def recording(tmp_path) -> Path:
    soundfile.write(tmp_path / "a.flac", np.random.default_rng(0).standard_normal(9000) / 4, 8000)
    return tmp_path / "a.flac"


def test_a_pack_answers(bin, packed, recording, tmp_path):
    program = ROOT / "test/lean_answers.py"
    # Not from the folder of the tests, which Python would look for modules in.
    command = shutil.copy(program, tmp_path)
    done = run(bin / "python", command, packed, tmp_path / "out", recording, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["card"].endswith("licence: cc-by-4.0")
    assert (tmp_path / "out/sep/spk1.wav").is_file()
    assert (tmp_path / "out/asr.srt").is_file()


def test_the_commands_of_a_finished_model_work(bin, packed, model_folder, recording, tmp_path):
    def command(*arguments: str | Path) -> str:
        done = run(bin / "aio-toolkit", *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "answer recordings" in command("answer", "--help").lower()
    assert "a.flac\t" in command("answer", "--model", packed, "--task", "asr", recording)
    command("answer", "--model", packed, "--task", "music", "--out", "answers", recording)
    assert (tmp_path / "answers/music/a.flac/drums.wav").is_file()
    assert "speech recognition: text" in command("info", packed)
    command("pack", "--model", model_folder, "--out", "pack")
    assert "speech recognition: text" in command("info", "pack")


@pytest.mark.parametrize("extra", IN_NEED)
def test_what_needs_an_extra_names_it_and_pip_knows_it(bin, packed, recording, tmp_path, extra):
    places = {"PACK": str(packed), "FILE": str(recording)}
    words = [places.get(word, word) for word in IN_NEED[extra].split()]
    done = run(bin / "aio-toolkit", *words, cwd=tmp_path)
    assert done.returncode == 1
    (told,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    remedy = f'pip install "aio_toolkit[{extra}]"'
    assert told.endswith(f"Install them: {remedy}.")
    # Of the wheel that is installed, wherever it was from.
    wanted = f"aio_toolkit[{extra}]"
    done = run(bin / "python", "-m", "pip", "install", "--dry-run", wanted, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Would install" in done.stdout
