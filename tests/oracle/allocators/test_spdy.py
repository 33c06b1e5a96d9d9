"""The knapsack against every combination, and the published prior by hand."""

import itertools

import numpy as np
import pytest

from pruners import ALLOCATORS
from pruners.allocators.spdy import knapsack
from tests.oracle.toy import chain


def test_two_items_by_hand() -> None:
    errors = np.array([[0.0, 0.0], [1.0, 3.0], [4.0, 5.0]])
    saved = np.array([[0, 0], [2, 3], [3, 5]])
    # amount: 0 nothing; 1, 2 first item's level 1 (error 1); 3 its level 2 errs by 4, the second's level 1 by 3; 4
    # and 5 both at level 1 (4); 6 levels 2 and 1 or 1 and 2: 7 or 6; 7 the latter; 8 both at level 2
    assert knapsack(errors, saved).tolist() == [[0, 0], [1, 0], [1, 0], [0, 1], [1, 1], [1, 1], [1, 2], [1, 2], [2, 2]]


def test_no_combination_is_better() -> None:
    random = np.random.default_rng(0)
    errors = np.cumsum(np.vstack([np.zeros(4), random.random((3, 4))]), axis=0)
    saved = np.cumsum(np.vstack([np.zeros(4, int), random.integers(0, 6, (3, 4))]), axis=0)
    items = np.arange(4)
    combinations = np.array(list(itertools.product(range(4), repeat=4)))
    totals = errors[combinations, items].sum(axis=1)
    savings = saved[combinations, items].sum(axis=1)
    for amount, chosen in enumerate(knapsack(errors, saved)):
        assert saved[chosen, items].sum() >= amount
        assert errors[chosen, items].sum() == pytest.approx(totals[savings >= amount].min())


def test_equal_groups_share_the_cut() -> None:
    _, analysis, evidence = chain([[1.0] * 40] * 40, [[1.0] * 40] * 40, [[1.0] * 40] * 40)
    low, high = ALLOCATORS.build("spdy", {"ratio": 0.5}).ratios(analysis.groups, evidence)
    assert abs(low - high) <= 0.06  # one level and one bucket apart at most
    assert 0.3 < low < 0.7


def test_a_low_coefficient_is_cut_more() -> None:
    _, analysis, evidence = chain([[1.0] * 40] * 40, [[1.0] * 40] * 40, [[1.0] * 40] * 40)
    low, high = ALLOCATORS.build("spdy", {"first": 0.2, "ratio": 0.5}).ratios(analysis.groups, evidence)
    assert low > high + 0.1


@pytest.mark.parametrize("error", ["quadratic", "energy"])
def test_ends(error: str) -> None:
    _, analysis, evidence = chain([[1.0, 2.0]] * 10, [[1.0] * 10] * 10, [[1.0] * 10])
    dense, smallest = (
        ALLOCATORS.build("spdy", {"error": error, "ratio": ratio}).ratios(analysis.groups, evidence)
        for ratio in (0.0, 1.0)
    )
    assert dense.tolist() == [0, 0]
    assert smallest.tolist() == pytest.approx([0.9, 0.9])  # one channel stays
