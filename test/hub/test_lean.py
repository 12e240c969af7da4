"""What a finished model does without: everything that only training, scores and pages need."""

import json
import os
import subprocess
import sys
from pathlib import Path

import kaldiio
import numpy as np
import odd_audio
import pytest
import soundfile

from aio_toolkit.extras import EXTRAS

ROOT = Path(__file__).parents[2]
ANSWERS = ROOT / "test/lean_answers.py"
IMPORT = "import time; t = time.perf_counter(); import aio_toolkit; print(time.perf_counter() - t)"


def python(*arguments: str) -> str:
    """What a Python of its own prints."""
    command, environment = [sys.executable, *arguments], {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def recordings(tmp_path) -> list[str]:
    """Stereo, longer than a window and of another rate; in an archive of Kaldi's; for FFmpeg."""
    noise_SC = np.random.default_rng(0).standard_normal((9 * 44100, 2)) / 4
    soundfile.write(tmp_path / "a.flac", noise_SC, 44100)
    numbers_S = np.arange(4000, dtype=np.int16)
    kaldiio.save_ark(str(tmp_path / "a.ark"), {"a": (16000, numbers_S)})
    foreign, _ = odd_audio.make("sphere_shorten", tmp_path)
    return [str(tmp_path / "a.flac"), f"{tmp_path}/a.ark:2[0:3999]", str(foreign)]


@pytest.mark.slow
def test_answers_need_no_package_of_an_extra(packed, recordings, tmp_path):
    told = json.loads(python(str(ANSWERS), str(packed), str(tmp_path / "out"), *recordings))
    assert (tmp_path / "out/asr/asr.txt").is_file()
    assert (tmp_path / "out/music/vocals.wav").is_file()
    # They have really been at work.
    assert {"torch", "espnet2", "soundfile", "av", "kaldiio", "soxr"} <= {*told["imported"]}
    others = {module for modules in EXTRAS.values() for module in modules}
    assert others & {*told["imported"]} == set()


def test_the_package_is_imported_within_a_third_of_a_second():
    # A busy machine may be slow once.
    assert min(float(python("-c", IMPORT)) for _ in range(3)) < 0.3
