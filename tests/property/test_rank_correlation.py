"""Rank correlations: scipy's values, intervals that hold what they promise, and what equal MACs leave."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from search.rank_correlation import agreement, at_equal_macs, kendall, spearman

VALUES = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=3, max_size=30)


@settings(max_examples=60, deadline=None)
@given(VALUES)
def test_values_are_scipys(pairs: list[tuple[int, int]]) -> None:
    first, second = np.array(pairs, dtype=np.float64).T
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        assert math.isnan(spearman(first, second))
        assert math.isnan(kendall(first, second))
        return
    assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-9)
    assert kendall(first, second) == pytest.approx(stats.kendalltau(first, second).statistic, abs=1e-9)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    pearson = 0.8
    truth = {"spearman": 6 / math.pi * math.asin(pearson / 2), "kendall": 2 / math.pi * math.asin(pearson)}
    hits = dict.fromkeys(truth, 0)
    for _ in range(400):
        first = rng.standard_normal(20)
        second = pearson * first + math.sqrt(1 - pearson**2) * rng.standard_normal(20)
        agreed = agreement(first, second)
        for kind, true in truth.items():
            estimate = getattr(agreed, kind)
            assert -1 <= estimate.low <= estimate.value <= estimate.high <= 1
            hits[kind] += estimate.low <= true <= estimate.high
    assert all(0.91 <= hit / 400 <= 0.99 for hit in hits.values())


def test_perfect_agreement_of_few_proves_little() -> None:
    five, fifty = (agreement(np.arange(float(num)), np.arange(float(num))) for num in (5, 50))
    for agreed in (five, fifty):
        assert agreed.spearman is not None
        assert agreed.spearman.value == agreed.spearman.high == pytest.approx(1)
    assert five.spearman is not None
    assert fifty.spearman is not None
    assert five.spearman.low < 0.3
    assert fifty.spearman.low > 0.98
    opposite = agreement(np.arange(9.0), -np.arange(9.0)).kendall
    assert opposite is not None
    assert (opposite.value, opposite.low) == (-1, -1)
    assert opposite.high < 0


def test_too_few_to_say_anything_span_everything() -> None:
    estimate = agreement(np.array([1.0, 2, 3, 5, 4]), np.arange(5.0), num_fitted=1).kendall
    assert estimate is not None
    assert (estimate.low, estimate.high) == (-1, 1)
    assert agreement(np.ones(6), np.arange(6.0)).spearman is None


def test_what_the_budget_explains_is_gone_at_equal_macs() -> None:
    rng = np.random.default_rng(1)
    macs = np.exp(rng.uniform(math.log(2e5), math.log(8e5), 60))
    trend = 0.5 + 0.2 * np.log(macs / 2e5)
    cheap, dear = (trend + 0.01 * rng.standard_normal(60) for _ in range(2))
    assert spearman(cheap, dear) > 0.9
    left, fitted = at_equal_macs(cheap, macs)
    right, _ = at_equal_macs(dear, macs)
    assert fitted == 2
    assert abs(spearman(left, right)) < 0.3
    assert spearman(left, at_equal_macs(trend + 5 * left, macs)[0]) == pytest.approx(1)


def test_candidates_of_one_budget_have_equal_macs_already() -> None:
    values = np.array([0.5, 0.7, 0.6, 0.4, 0.8, 0.9])
    macs = np.array([1000.0, 1001, 1002, 999, 1000, 1003])
    left, fitted = at_equal_macs(values, macs)
    assert fitted == 0
    assert left == pytest.approx(values - values.mean())
    smooth, fitted = at_equal_macs(2 + np.log(np.arange(1.0, 8)), np.arange(1.0, 8))
    assert fitted == 1
    assert not smooth.any()  # a line explains all of it
