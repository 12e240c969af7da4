"""The whole road in small: egs/mini_aio with a few utterances and steps, run as a user runs it."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from small_recipe import ROOT, copy_recipe, run_recipe

from aio_toolkit.scoring.results import read_results


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    """Stages build on what those before them have made here."""
    return copy_recipe(tmp_path_factory.mktemp("road"))


def run(recipe: Path, *stages: int, **more: str) -> subprocess.CompletedProcess[str]:
    first, last = stages[0], stages[-1]
    return run_recipe(recipe, {"stage": str(first), "stop_stage": str(last), **more})


@pytest.mark.slow
def test_every_stage_runs_and_the_table_has_every_task(recipe: Path) -> None:
    first = run(recipe, 1, 2)
    assert first.returncode == 0, first.stdout[-3000:] + first.stderr[-3000:]
    # Stages 3 to 7 stand on their own once 1 and 2 are done.
    rest = run(recipe, 3, 7)
    assert rest.returncode == 0, rest.stdout[-3000:] + rest.stderr[-3000:]
    decoded = recipe / "exp" / "small" / "decode_decoders.text.beam_size2_test"
    results = read_results(decoded)
    assert [task.name for task in results.tasks] == ["asr", "st", "sep", "enh", "sound", "music"]
    for task in results.tasks[2:]:
        outputs = {score.output for score in task.scores}
        assert outputs == {
            "masked",
            "codec",
            "wiener",
            "mixture",
            "fixed_filter",
            "oracle_codec",
            "oracle_wiener",
            "ideal_mask",
        }
    assert "| asr" in rest.stdout
    assert (decoded / "RESULTS.md").is_file()
    assert (recipe / "exp" / "small" / "routing.png").is_file()


@pytest.mark.slow
def test_the_codec_that_comes_with_the_recipe_keeps_the_targets(recipe, monkeypatch):
    from aio_toolkit.analysis.ceiling import Ceiling
    from aio_toolkit.tasks import load_tasks

    monkeypatch.chdir(recipe)  # data dirs hold paths from here
    shipped = recipe / "codec"
    assert sum(path.stat().st_size for path in shipped.iterdir()) <= 8_000_000
    ceiling = Ceiling(Ceiling.Config(codec=str(shipped), codebooks=[32]))
    tasks = load_tasks(recipe / "conf/tasks.yaml")
    results = ceiling.measure(recipe / "data" / "test", tasks)
    for name in ("sep", "enh", "music"):
        si_sdr = {row: quality.si_sdr.value for row, quality in results.tasks[name].items()}
        assert si_sdr["32 codebooks"] > 5.0, name
        assert si_sdr["wiener"] > si_sdr["mixture"], name


@pytest.mark.slow
def test_sub_networks_are_decoded_and_scored(recipe):
    """Keeping all experts that a task visits on the test split itself changes nothing."""
    command = [str(ROOT / "tools" / "venv" / "bin" / "python"), "-m", "aio_toolkit.bin.extract"]
    command += [
        "--model",
        "exp/small",
        "--data",
        "data/test",
        "--task",
        "asr",
        "enh",
        "--out",
    ]
    command += ["exp/sub", "--test_data", "data/test"]
    (codec,) = (recipe / "exp").glob("codec*/codec.safetensors")
    command += ["--set", "budgets=[1]", f"decode.decoders.audio.codec={codec.parent}"]
    done = subprocess.run(
        command,
        cwd=recipe,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()[2:]
    ]
    assert [row[:2] for row in rows] == [
        [t, b] for t in ("asr", "enh") for b in ("whole", "visited", "1")
    ]
    for whole, visited, single in (rows[:3], rows[3:]):
        assert visited[-2:] == [whole[-2], "+0.0"]
        assert float(single[4]) < float(whole[4])
    assert (recipe / "exp" / "sub" / "EXTRACTION.md").is_file()


@pytest.mark.slow
def test_stage_4_leaves_the_encoder_of_stage_3_bit_equal(recipe):
    import torch

    (encoder,) = (recipe / "exp").glob("train_ssl*/model.pt")
    before = torch.load(encoder, weights_only=True)["state"]
    after = torch.load(recipe / "exp" / "small" / "model.pt", weights_only=True)["state"]
    assert before
    assert all(torch.equal(value, after[f"encoder.{name}"]) for name, value in before.items())


@pytest.mark.slow
def test_half_a_pack_has_its_own_scores_beside_those_of_the_whole_model(recipe):
    done = run(recipe, 8, pack_args="--half --license mit")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    card = (recipe / "exp" / "small" / "pack" / "README.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")] for line in card.splitlines()]
    of_task = [(row[1], row[7]) for row in rows if len(row) == 9 and row[7].startswith("float")]
    tasks = ("asr", "st", "sep", "enh", "sound", "music")
    assert of_task == [(task, kept) for kept in ("float32", "float16") for task in tasks]
    assert "half=true" in card and "- weights: float16" in card


@pytest.mark.slow
def test_a_rerun_recognises_finished_work(recipe):
    model = recipe / "exp" / "small" / "model.pt"
    before = model.stat().st_mtime_ns
    again = run(recipe, 1, 6)
    assert again.returncode == 0, again.stdout[-3000:] + again.stderr[-3000:]
    assert again.stdout.count("nothing to do") >= 3
    assert model.stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_list_of_systems_ends_in_one_table_and_is_not_run_again(recipe):
    """Systems that differ in the length of their sentences alone, so that they share a model."""
    (recipe / "conf" / "small.yaml").write_text(
        "seeds: [0]\n"
        "options: {decode_tasks: asr enh}\n"
        "systems: {demo: {}, short: {decode_args: decoders.text.max_length_ratio=0.1}}\n"
    )
    options = {"compare": "conf/small.yaml", "tag": ""}
    first = run_recipe(recipe, options)
    assert first.returncode == 0, first.stdout[-3000:] + first.stderr[-3000:]
    results = recipe / "results" / "small"
    table = (results / "RESULTS.md").read_text()
    demo, short = (row for row in table.splitlines() if re.match(r"\| (demo|short) ", row))
    cells = [cell.strip() for cell in demo.split("|")]
    assert cells[2:4] == ["1", "6"] and "asr WER" in table and "enh gain dB" in table
    assert short.rstrip(" |").endswith("(+0.00)")
    # The encoder of the stages above, and the model of both systems.
    assert first.stdout.count("model.pt is finished: nothing to do") == 2 + 1
    kept = [path for path in (results / "demo" / "0").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in kept) <= 300_000

    again = run_recipe(recipe, options)
    assert again.returncode == 0, again.stderr[-3000:]
    assert "2 runs, of which 2 are finished" in again.stdout
    assert "stage" not in again.stdout.partition("| system")[0]
