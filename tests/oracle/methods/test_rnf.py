"""Six points in the plane: ranks, intersections and kept filters worked out by hand, and the published loop itself."""

import itertools

import pytest
import torch
from torch import Tensor

from pruners import METHODS
from pruners.decide import choose
from pruners.methods.rnf import neighbour_ranks, occurrences
from tests.oracle.toy import SIX_FILTERS, filters

RANKS = [
    [1, 2, 4, 5, 6, 3],
    [2, 1, 3, 4, 6, 5],
    [3, 2, 1, 4, 5, 6],
    [4, 2, 3, 1, 5, 6],
    [5, 4, 3, 2, 1, 6],
    [2, 3, 4, 5, 6, 1],
]


def toy_ranks() -> Tensor:
    return neighbour_ranks(torch.tensor(SIX_FILTERS, dtype=torch.float64))


def published_loop(ranks: Tensor, count: int) -> tuple[set[int], set[int]]:
    """What the loop surely keeps, and what it draws the rest from."""
    width = len(ranks)
    before: set[int] = set()
    for k in range(count, width + 1):
        now = set.intersection(*[set(torch.nonzero(row <= k).flatten().tolist()) for row in ranks])
        if len(now) == count:
            return now, set()
        if len(now) > count:
            return before, now - before
        before = now
    raise AssertionError("k = width keeps all")


def test_ranks() -> None:
    ranks = toy_ranks()
    assert ranks.tolist() == RANKS
    assert ranks.amax(dim=0).tolist() == [5, 4, 4, 5, 6, 6]
    assert ranks.sum(dim=0).tolist() == [17, 14, 18, 21, 29, 27]


@pytest.mark.parametrize(
    ("num_neighbours", "held"), [(1, []), (2, []), (3, []), (4, [1, 2]), (5, [0, 1, 2, 3]), (6, [0, 1, 2, 3, 4, 5])]
)
def test_intersections(num_neighbours: int, held: list[int]) -> None:
    everybody = occurrences(toy_ranks(), num_neighbours=num_neighbours, pairwise=False) == 6
    assert everybody.nonzero().flatten().tolist() == held


@pytest.mark.parametrize(
    ("count", "kept"), [(1, (1,)), (2, (1, 2)), (3, (0, 1, 2)), (4, (0, 1, 2, 3)), (5, (0, 1, 2, 3, 5))]
)
def test_kept_filters(count: int, kept: tuple[int, ...]) -> None:
    group, evidence = filters(SIX_FILTERS)
    assert choose(METHODS.build("rnf"), group, count, evidence) == kept


@pytest.mark.parametrize("factor", [10.0, 1e-3, 1e6])
def test_scale_changes_nothing(factor: float) -> None:
    assert neighbour_ranks(torch.tensor(SIX_FILTERS, dtype=torch.float64) * factor).tolist() == RANKS


def test_the_rule_is_the_published_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    for width, count in itertools.product((3, 7, 20), (1, 2, 5, 11)):
        if count < width:
            rows = torch.randn(width, 4, generator=generator, dtype=torch.float64)
            group, evidence = filters(rows.tolist())
            sure, lot = published_loop(neighbour_ranks(rows), count)
            kept = set(choose(METHODS.build("rnf"), group, count, evidence))
            assert sure <= kept <= sure | lot


@pytest.mark.parametrize(
    ("num_neighbours", "counts"),
    [(2, [3, 4, 1, 2, 1, 1]), (3, [4, 5, 4, 2, 1, 2]), (4, [5, 6, 6, 4, 1, 2]), (5, [6, 6, 6, 6, 3, 3])],
)
def test_occurrences(num_neighbours: int, counts: list[int]) -> None:
    assert occurrences(toy_ranks(), num_neighbours=num_neighbours, pairwise=False).tolist() == counts


@pytest.mark.parametrize(("num_neighbours", "kept"), [(2, (0, 1)), (3, (1, 2)), (4, (1, 2))])
def test_soft_rule(num_neighbours: int, kept: tuple[int, ...]) -> None:
    group, evidence = filters(SIX_FILTERS)
    assert choose(METHODS.build("rnf", {"k_ratio": num_neighbours / 6}), group, 2, evidence) == kept


@pytest.mark.parametrize(("num_neighbours", "counts"), [(2, [1, 1, 0, 0, 0, 0]), (3, [2, 2, 1, 0, 0, 1])])
def test_mutual_neighbours(num_neighbours: int, counts: list[int]) -> None:
    found = occurrences(toy_ranks(), num_neighbours=num_neighbours, pairwise=True) - 1  # without itself
    assert found.tolist() == counts


def test_cosine_ignores_length() -> None:
    directions = [(1.0, 0.0), (1.0, 0.1), (1.0, 0.2), (0.0, 1.0)]
    longer = [(9 * x, 9 * y) if i == 1 else (x, y) for i, (x, y) in enumerate(directions)]
    for rows in (directions, longer):
        group, evidence = filters(rows)
        assert choose(METHODS.build("rnf", {"metric": "cosine"}), group, 2, evidence) == (1, 2)
