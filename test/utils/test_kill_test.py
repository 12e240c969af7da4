"""A few runs of the recipe are killed and started again; `make test-kills` does it to fifty."""

import subprocess
import sys

import pytest
from small_recipe import ROOT, need_environment


@pytest.mark.slow
def test_runs_that_are_killed_and_started_again_end_as_undisturbed_ones_do(tmp_path):
    """Stages 2, 4 and 5, at random moments."""
    need_environment()
    command = [sys.executable, "utils/kill_test.py", "--short", "--folder", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "3 of 3 runs ended as an undisturbed one does" in done.stdout
