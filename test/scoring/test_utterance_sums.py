"""Numbers of utterances come back from their file as they were."""

import numpy as np
import pytest

from aio_toolkit.errors import AioError
from aio_toolkit.scoring.utterance_sums import UtteranceSums

MASKED = np.array([[-3.1234567, 1.0], [np.nan, np.nan], [1234.5678, 1.0]])
MIXTURE = np.array([[0.1, 1.0], [np.nan, np.nan], [1 / 3, 1.0]])


def test_numbers_of_several_outputs_come_back_apart(tmp_path):
    numbers = {"masked": MASKED, "mixture": MIXTURE}
    UtteranceSums(["a", "b", "c"], ["x", "y_z", "x"], numbers).write(tmp_path / "s.tsv", ["si_sdr"])
    kept = UtteranceSums.read(tmp_path / "s.tsv")
    assert (kept.ids, kept.speakers) == (["a", "b", "c"], ["x", "y_z", "x"])
    assert list(kept.numbers) == ["masked", "mixture"]
    np.testing.assert_allclose(kept.numbers["masked"], MASKED, rtol=1e-6)
    np.testing.assert_allclose(kept.numbers["mixture"], MIXTURE, rtol=1e-6)


def test_outputs_may_have_other_numbers_of_numbers(tmp_path):
    """What could not be scored of any utterance has a single NaN."""
    numbers = {"masked": np.array([[1.0, 2.0, 3.0]]), "mixture": np.array([[np.nan]])}
    UtteranceSums(["a"], ["x"], numbers).write(tmp_path / "s.tsv", ["p", "q"])
    titles = (tmp_path / "s.tsv").read_text().splitlines()[0].split("\t")
    assert titles[2:] == ["masked.p", "masked.q", "masked.3", "mixture.p"]
    kept = UtteranceSums.read(tmp_path / "s.tsv")
    assert [kept.numbers[name].shape for name in numbers] == [(1, 3), (1, 1)]


def test_whole_numbers_have_no_decimals(tmp_path):
    numbers = {"hypothesis": np.array([[12.0, 0.0, 1.0, 3.0]])}
    UtteranceSums(["a"], ["x"], numbers).write(tmp_path / "s.tsv", ["w", "i", "d", "s"])
    assert (tmp_path / "s.tsv").read_text().splitlines()[1] == "a\tx\t12\t0\t1\t3"


def test_a_missing_file_asks_for_stage_6(tmp_path):
    with pytest.raises(AioError, match="s.tsv does not exist. Run stage 6"):
        UtteranceSums.read(tmp_path / "s.tsv")


@pytest.mark.parametrize("line", ["a\tx\tmany", "a\tx\t1\t2\nb\tx\t1"])
def test_a_damaged_file_is_named(tmp_path, line):
    (tmp_path / "s.tsv").write_text(f"utterance\tspeaker\tmasked.1\tmasked.2\n{line}\n")
    with pytest.raises(AioError, match="s.tsv is damaged. Run stage 6"):
        UtteranceSums.read(tmp_path / "s.tsv")
