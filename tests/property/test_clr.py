"""Cross-layer ranking against its definition, and what must not change it."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

from pruners.allocators.clr import removed_shares
from pruners.ranking import shares_below


def pools_of(seed: int, num_pools: int, largest: int, *, ties: bool) -> list[np.ndarray]:
    random = default_rng(seed)
    sizes = random.integers(1, largest, num_pools)
    pools = [np.abs(random.normal(size=size) * random.choice([0.1, 1, 10])) for size in sizes]
    kinds = random.choice([np.float32, np.float64], num_pools)
    return [np.sort((p.round(1) if ties else p).astype(kind)) for p, kind in zip(pools, kinds, strict=True)]


def by_sorting_everything(pools: list[np.ndarray], costs: np.ndarray, num_kept: int) -> np.ndarray:
    scores = [pool.astype(np.float64) / cost for pool, cost in zip(pools, costs, strict=True)]
    threshold = np.sort(np.concatenate(scores))[::-1][num_kept - 1] if num_kept else np.inf
    return np.array([(score < threshold).mean() for score in scores])


@given(
    seed=st.integers(0, 9999),
    num_pools=st.integers(1, 8),
    largest=st.sampled_from([5, 300, 30_000]),
    share=st.floats(0, 1),
    ties=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_windows_find_the_threshold(seed: int, num_pools: int, largest: int, share: float, ties: bool) -> None:
    pools = pools_of(seed, num_pools, largest, ties=ties)
    costs = default_rng(seed + 1).uniform(0.1, 10, num_pools)
    num_kept = round(share * sum(map(len, pools)))
    expected = by_sorting_everything(pools, costs, num_kept)
    np.testing.assert_array_equal(shares_below(pools, costs, num_kept=num_kept), expected)


@given(seed=st.integers(0, 999), exponent=st.floats(0, 10), shares=st.lists(st.floats(0, 1), min_size=2, max_size=5))
@settings(max_examples=40, deadline=None)
def test_more_pruning_removes_more_everywhere(seed: int, exponent: float, shares: list[float]) -> None:
    pools = pools_of(seed, 4, 200, ties=False)
    costs = default_rng(seed).uniform(0.5, 2, 4)
    found = [removed_shares(pools, costs, pr=pr, exponent=exponent) for pr in sorted(shares)]
    assert all((more >= less).all() for less, more in itertools.pairwise(found))


@given(seed=st.integers(0, 999), factor=st.sampled_from([0.5, 4.0, 1024.0]), pr=st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_only_ratios_of_costs_matter(seed: int, factor: float, pr: float) -> None:
    pools, costs = pools_of(seed, 4, 200, ties=False), default_rng(seed).uniform(0.5, 2, 4)
    once, scaled = (removed_shares(pools, costs * k, pr=pr, exponent=2.0) for k in (1, factor))
    np.testing.assert_array_equal(once, scaled)


@given(seed=st.integers(0, 999), pr=st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_equal_costs_are_plain_magnitude(seed: int, pr: float) -> None:
    pools, costs = pools_of(seed, 4, 200, ties=False), default_rng(seed).uniform(0.5, 2, 4)
    plain = removed_shares(pools, costs, pr=pr, exponent=0.0)
    np.testing.assert_array_equal(plain, removed_shares(pools, np.full(4, 3.0), pr=pr, exponent=5.0))
