"""The best checkpoint: every task counts by its own noise."""

import pytest
import torch

from aio_toolkit.training.selection import DevScore


def score_of(*validations: dict[str, list[float]]) -> list[float]:
    score, values = DevScore(), []
    for validation in validations:
        for task, losses in validation.items():
            score.add(task, torch.tensor(losses))
        values.append(score.close())
    return values


def test_the_score_is_the_mean_over_tasks_of_falls_in_standard_errors() -> None:
    first = {"asr": [10.0, 14.0, 12.0], "sep": [1.0, 1.2]}
    second = {"asr": [9.0, 12.0, 12.0], "sep": [0.9, 1.3]}
    asr = (12.0 - 11.0) / (2.0 / 3**0.5)
    sep = (1.1 - 1.1) / (0.1 * 2**0.5 / 2**0.5)
    assert score_of(first, second) == pytest.approx([0.0, (asr + sep) / 2], abs=1e-5)


def test_a_task_of_small_losses_counts_as_much_as_one_of_large_ones() -> None:
    first = {"asr": [100.0, 140.0], "sep": [1.0, 1.4]}
    asr_falls = {"asr": [90.0, 130.0], "sep": [1.0, 1.4]}
    sep_falls = {"asr": [100.0, 140.0], "sep": [0.9, 1.3]}
    _, one = score_of(first, asr_falls)
    _, other = score_of(first, sep_falls)
    assert one == pytest.approx(other, rel=1e-4)
    assert one > 0


def test_batches_of_one_validation_belong_together() -> None:
    score = DevScore()
    for rows in ([10.0, 14.0], [12.0]):
        score.add("asr", torch.tensor(rows))
    score.close()
    assert score.first["asr"] == pytest.approx((12.0, 2.0 / 3**0.5))


def test_a_rise_scores_below_zero() -> None:
    assert score_of({"asr": [1.0, 2.0]}, {"asr": [2.0, 3.0]})[1] < 0


def test_a_resumed_run_measures_against_the_same_first_validation() -> None:
    score = DevScore()
    score.add("asr", torch.tensor([10.0, 14.0]))
    score.close()
    resumed = DevScore()
    resumed.restore(score.state())
    for each in (score, resumed):
        each.add("asr", torch.tensor([9.0, 13.0]))
    assert score.close() == resumed.close() > 0


def test_losses_that_are_all_alike_divide_by_no_zero() -> None:
    assert 0 < score_of({"asr": [2.0, 2.0]}, {"asr": [1.0, 1.0]})[1] < float("inf")
