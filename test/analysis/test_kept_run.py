"""What is kept of a run is enough to compare it, and small."""

import shutil

import numpy as np
import pytest
from kept_runs import write_run

from aio_toolkit.analysis.kept_run import KeptRun, keep_run
from aio_toolkit.errors import AioError
from aio_toolkit.files import write_json
from aio_toolkit.models.cost import Cost

COST = Cost(9, 61.5, 30.0, 1000, 400)


@pytest.fixture
def decode(tmp_path):
    """A scored decode folder in its experiment folder, waves and all."""
    folder = tmp_path / "exp" / "demo" / "decode_dev"
    write_run(folder, [1, 0, 2], [3.0, 4.0])
    (folder / "sep" / "masked").mkdir()
    (folder / "sep" / "masked" / "spk1.wav").write_bytes(bytes(1000))
    COST.write(folder.parent)
    write_json(folder.parent / "made_from.json", {"data/dev": "0b"})
    (folder.parent / "config.yaml").write_text("seed: 3\n")
    (folder.parent / "model.pt").write_bytes(bytes(1000))
    return folder


def test_a_kept_run_is_what_the_decode_folder_is(decode, tmp_path):
    keep_run(decode, tmp_path / "kept" / "demo" / "0")
    before, kept = KeptRun.read(decode), KeptRun.read(tmp_path / "kept" / "demo" / "0")
    shutil.rmtree(tmp_path / "exp")
    assert kept.results == before.results
    assert kept.cost == before.cost == COST
    assert kept.model == before.model == str(decode)
    sums = kept.sums(kept.task("asr"))
    assert sums.numbers["hypothesis"][:, 3].tolist() == [1, 0, 2]
    np.testing.assert_allclose(kept.sums(kept.task("sep")).numbers["masked"][:, 0], [3, 4])


def test_kept_is_neither_a_wave_nor_a_model(decode, tmp_path):
    keep_run(decode, tmp_path / "kept")
    names = {str(p.relative_to(tmp_path / "kept")) for p in (tmp_path / "kept").rglob("*.*")}
    of_run = {"config.yaml", "made_from.json", "cost.json", "decode.json", "results.json"}
    assert names == of_run | {"asr/sums.wer.tsv", "sep/sums.si_sdr.tsv"}


def test_results_that_are_kept_again_take_the_place_of_the_others(decode, tmp_path):
    keep_run(decode, tmp_path / "kept")
    write_run(decode, [5, 5, 5], [3.0, 4.0])
    keep_run(decode, tmp_path / "kept")
    kept = KeptRun.read(tmp_path / "kept")
    assert kept.task("asr").value("hypothesis") == 50.0
    assert kept.sums(kept.task("asr")).numbers["hypothesis"][:, 3].tolist() == [5, 5, 5]


def test_a_training_that_did_not_tell_what_it_took_has_no_cost(decode, tmp_path):
    (decode.parent / "cost.json").unlink()
    keep_run(decode, tmp_path / "kept")
    assert KeptRun.read(decode).cost is KeptRun.read(tmp_path / "kept").cost is None


def test_what_was_not_scored_cannot_be_kept(tmp_path):
    with pytest.raises(AioError, match="results.json does not exist"):
        keep_run(tmp_path, tmp_path / "kept")


def test_a_task_that_was_not_scored_is_none(decode):
    assert KeptRun.read(decode).task("enh") is None
