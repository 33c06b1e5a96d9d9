"""The PQ index, the effective count and the pruned count of vectors worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pruners import ALLOCATORS
from pruners.allocators.sap import global_counts, layer_counts
from pruners.budget import rounded_widths
from pruners.pq_index import PQRule, effective_count, pq_index, pruned_count
from spaces import ChannelGroup
from tests.oracle.toy import chain

ONES, ONE = [1.0, 1, 1, 1], [1.0, 0, 0, 0]
FOUR, TWO = [0.5, 0.3, 0.1, 0.1], [2.0, 1, 1, 0]
E = [8 * 2.0**-i for i in range(10)]
A, B = [4, 3, 2, 1, 0.5, 0.5, 0.25, 0.25], [1.2, 1.1, 1, 1, 0.9, 0.9, 0.8, 0.7]


@pytest.mark.parametrize(
    ("values", "p", "q", "index", "largest", "count"),
    [
        (ONES, 0.5, 1, 0, 0.75, 4),
        (ONES, 1, 2, 0, 0.5, 4),
        (ONE, 0.5, 1, 0.75, 0.75, 1),
        (ONE, 1, 2, 0.5, 0.5, 1),
        (FOUR, 0.5, 1, 0.109539, 0.75, 3.561844),
        (FOUR, 1, 2, 0.166667, 0.5, 2.777778),
        (TWO, 0.5, 1, 0.271447, 0.75, 2.914214),
        (TWO, 1, 2, 0.183503, 0.5, 2.666667),
        (E, 0.5, 1, 0.452481, 0.9, 5.475189),
        (E, 1, 2, 0.452812, 0.683772, 2.994146),
        (FOUR, 0.5, 2, 0.257949, None, 3.278555),
        (FOUR, 0.2, 1, 0.172944, None, 3.814554),
    ],
)
def test_index_and_effective_count(
    values: list[float], p: float, q: float, index: float, largest: float | None, count: float
) -> None:
    row = torch.tensor([values], dtype=torch.float64)
    found = pq_index(row, p, q)
    assert float(found) == pytest.approx(index, abs=1e-6)
    if largest is not None:
        assert 1 - len(values) ** (1 / q - 1 / p) == pytest.approx(largest, abs=1e-6)
    effective = effective_count(torch.tensor([float(len(values))]), found, PQRule(p=p, q=q))
    assert float(effective) == pytest.approx(count, abs=1e-6)


@pytest.mark.parametrize(
    ("values", "p", "q", "counts"),
    [
        (ONES, 0.5, 1, (0, 0, 3, 0)),
        (ONES, 1, 2, (0, 0, 3, 0)),
        (ONE, 0.5, 1, (3, 3, 3, 3)),
        (ONE, 1, 2, (3, 3, 3, 3)),
        (FOUR, 0.5, 1, (0, 1, 3, 0)),
        (FOUR, 1, 2, (1, 1, 3, 2)),
        (TWO, 0.5, 1, (1, 1, 3, 2)),
        (TWO, 1, 2, (1, 1, 3, 2)),
        (E, 0.5, 1, (4, 5, 8, 8)),
        (E, 1, 2, (7, 7, 9, 9)),
    ],
)
def test_pruned_counts(values: list[float], p: float, q: float, counts: tuple[int, ...]) -> None:
    row = torch.tensor([values], dtype=torch.float64)
    for (eta, gamma), count in zip(((0, 1), (0.1, 1), (1, 1), (0, 2)), counts, strict=True):
        for round_up in (True, False):
            expected = 9 if (values is E and p == 0.5 and gamma == 2 and not round_up) else count
            rule = PQRule(p=p, q=q, eta=eta, gamma=gamma, round_up=round_up)
            assert int(pruned_count(row, rule)) == expected


def test_rounding_up_hides_small_shares() -> None:
    row = torch.tensor([FOUR], dtype=torch.float64)
    assert int(pruned_count(row, PQRule(gamma=5, round_up=True))) == 0
    assert int(pruned_count(row, PQRule(gamma=5))) == 2


@pytest.mark.parametrize(("p", "q", "counts_a"), [(1, 2, {1: 3, 2: 6, 4: 7}), (0.5, 1, {1: 1, 2: 2, 4: 4})])
def test_counts_per_layer(p: float, q: float, counts_a: dict[int, int]) -> None:
    norms = [torch.tensor(values, dtype=torch.float64) for values in (A, B)]
    for gamma, count in counts_a.items():
        assert layer_counts(norms, PQRule(p=p, q=q, gamma=gamma, round_up=True)).tolist() == [count, 0]


@pytest.mark.parametrize(
    ("p", "q", "counts"), [(1, 2, (4.318367, 7.805405, 11.120831)), (0.5, 1, (6.372329, 7.949340, 14.278124))]
)
def test_effective_counts_of_norms(p: float, q: float, counts: tuple[float, ...]) -> None:
    """Of both layers, and of all sixteen norms once each layer's are divided by their mean."""
    a, b = (torch.tensor([values], dtype=torch.float64) for values in (A, B))
    for row, expected in zip((a, b, torch.cat([a / a.mean(), b / b.mean()], dim=1)), counts, strict=True):
        found = effective_count(torch.tensor([float(row.size(1))]), pq_index(row, p, q), PQRule(p=p, q=q))
        assert float(found) == pytest.approx(expected, abs=1e-6)


def test_fractions_become_counts_without_rounding_errors() -> None:
    """10 * (1 - 6 / 10) is 4 and not 3.9999; 10 (1 - .9) keeps 1, 100 (1 - .93) keeps 7."""
    assert int(pruned_count(torch.tensor([[1.0] * 6 + [0.0] * 4]), PQRule(p=1, q=2))) == 4
    group = ChannelGroup(name="g", width=10, slices=())
    assert rounded_widths(np.array([0.9]), [group]).tolist() == [1]
    assert rounded_widths(np.array([0.93]), [replace(group, width=100, max_keep=100)]).tolist() == [7]


def test_counts_of_one_ranking() -> None:
    norms = [torch.tensor(values, dtype=torch.float64) for values in (A, B)]
    assert global_counts(norms, PQRule(p=1, q=2)).tolist() == [4, 0]
    assert global_counts(norms, PQRule(p=0.5, q=1)).tolist() == [1, 0]


def test_ratios_from_norms() -> None:
    _, analysis, evidence = chain([[value] for value in A], [[1.0] * 8] * 8, [[1.0] * 8])
    allocator = ALLOCATORS.build("sap", {"p": 1.0, "gap": 1.0, "gamma": 1.0})
    assert allocator.ratios(analysis.groups, evidence).tolist() == [3 / 8, 0]


def test_bound_of_the_theorem() -> None:
    """Keeping 2 of [.5 .3 .1 .1] leaves eta = .25 (p = 1) or .504017 (p = .5), and the bounds are at most 2."""
    row, four = torch.tensor([FOUR], dtype=torch.float64), torch.tensor([4.0])
    for p, q, eta, bound in ((1, 2, 0.25, 1.777778), (0.5, 1, 0.504017, 1.574597)):
        found = effective_count(four, pq_index(row, p, q), PQRule(p=p, q=q, eta=eta))
        assert float(found) == pytest.approx(bound, abs=1e-5)
