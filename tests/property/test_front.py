"""The front, its hypervolume and the halving rule against brute force."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.evaluation import Evaluation
from search.front import Front, Measured, hypervolume
from search.halving import Rungs, crowding, dominates, ranks
from spaces import Candidate, Choice

DENSE = 1000

points = st.lists(st.tuples(st.integers(0, 12).map(lambda a: a / 12), st.integers(1, 12)), max_size=30)


def measured(number: int, accuracy: float, macs: int, *, fidelity: int = 0, status: str = "complete") -> Measured:
    candidate = Candidate(budget_macs=macs, allocator=Choice.of("uniform"), method=Choice.of("l1"))
    if status == "complete":
        evaluation = Evaluation(
            status="complete", accuracy=accuracy, loss=1.0, macs=macs, fidelity=fidelity, seed=0, params=7
        )
    else:
        evaluation = Evaluation(status=status, fidelity=fidelity, seed=0, reason="because")
    return Measured(number=number, candidate=candidate, evaluation=evaluation)


@given(points)
def test_front_is_an_antichain_that_dominates_everything(found: list[tuple[float, int]]) -> None:
    front = Front.of([measured(i, a, m) for i, (a, m) in enumerate(found)], dense_macs=DENSE)
    members = [(item.accuracy, item.macs) for item in front.members]
    assert not any(dominates(x, y) for x in members for y in members)
    assert all(y in members or any(dominates(x, y) for x in members) for y in found)
    assert all(low.macs < high.macs and low.accuracy < high.accuracy for low, high in pairwise(front.members))


@given(points)
def test_hypervolume_counts_the_dominated_cells(found: list[tuple[float, int]]) -> None:
    scaled = [(accuracy, macs / 12) for accuracy, macs in found]
    cells = sum(any(a >= row / 12 and m <= column for a, m in found) for row in range(1, 13) for column in range(1, 12))
    assert math.isclose(hypervolume(scaled), cells / 144, abs_tol=1e-9)


@given(points, st.integers(1, 12))
def test_best_under_is_the_most_accurate_that_fits(found: list[tuple[float, int]], budget: int) -> None:
    best = Front.of([measured(i, a, m) for i, (a, m) in enumerate(found)], dense_macs=DENSE).best_under(budget)
    fitting = [accuracy for accuracy, macs in found if macs <= budget]
    assert (best.accuracy if best else None) == max(fitting, default=None)


@given(points)
def test_ranks_peel_fronts(found: list[tuple[float, int]]) -> None:
    expected = [-1] * len(found)
    left, rank = set(range(len(found))), 0
    while left:
        front = {i for i in left if not any(dominates(found[j], found[i]) for j in left)}
        for index in front:
            expected[index] = rank
        left, rank = left - front, rank + 1
    assert ranks(found) == expected


def test_crowding_prefers_the_ends_and_the_lonely() -> None:
    assert crowding([(0.1, 1), (0.2, 2), (0.8, 8), (0.9, 9)]) == pytest.approx([math.inf, 1.75, 1.75, math.inf])
    assert crowding([]) == []


def test_failures_and_other_fidelities_stay_off_the_front() -> None:
    found = [
        measured(0, 0.5, 10),
        measured(1, 0.9, 5, status="failed"),
        measured(2, 0.8, 20, fidelity=1),
        measured(3, 0.4, 10),
    ]
    assert [item.number for item in Front.of(found, dense_macs=DENSE, fidelity=0).members] == [0]
    assert [item.number for item in Front.of(found, dense_macs=DENSE).members] == [2]


def test_the_shown_front_climbs_when_every_lower_member_was_measured_higher() -> None:
    low = [measured(0, 0.5, 10), measured(1, 0.6, 20), measured(2, 0.1, 30)]
    half = [*low, measured(1, 0.7, 20, fidelity=1)]
    assert Front.settled(half, dense_macs=DENSE).fidelity == 0
    assert Front.settled([*half, measured(0, 0.6, 10, fidelity=1)], dense_macs=DENSE).fidelity == 1
    failed = [*half, measured(0, 0, 10, fidelity=1, status="failed")]
    assert [item.number for item in Front.settled(failed, dense_macs=DENSE).members] == [1]


def test_nothing_measured_is_an_empty_front() -> None:
    front = Front.of([], dense_macs=DENSE)
    assert front.members == ()
    assert front.hypervolume() == 0
    assert front.best_under(DENSE) is None
    assert front.rows() == []


def test_one_in_three_of_similar_size_goes_on() -> None:
    rungs = Rungs(reduction=3, similar=0.1)
    accuracies = [0.1 * ((7 * i) % 10) for i in range(30)]
    goes = [rungs.goes_on(str(i), fidelity=0, point=(a, 100.0)) for i, a in enumerate(accuracies)]
    assert goes[0], "the first has no rival yet"
    late = list(zip(accuracies, goes, strict=True))[9:]
    assert all(a >= 0.6 for a, went in late if went)
    assert all(went for a, went in late if a >= 0.9 - 1e-9)


def test_no_more_go_on_where_every_newcomer_is_better() -> None:
    rungs = Rungs(reduction=5, similar=0.1)
    goes = [rungs.goes_on(str(i), fidelity=0, point=(0.01 * i, 100.0)) for i in range(70)]
    assert sum(goes) == 14
    assert goes[:7] == [True, False, False, False, False, True, False]


def test_small_networks_do_not_compete_with_large_ones() -> None:
    rungs = Rungs(reduction=3, similar=0.1)
    for index in range(9):
        rungs.goes_on(f"large{index}", fidelity=0, point=(0.9 + 0.001 * index, 900.0))
    assert rungs.goes_on("small", fidelity=0, point=(0.3, 300.0))
    assert not rungs.goes_on("weak", fidelity=0, point=(0.3, 890.0))


three = st.lists(st.tuples(st.integers(0, 4).map(lambda a: a / 4), st.integers(1, 4), st.integers(1, 4)), max_size=25)


def timed(number: int, accuracy: float, macs: int, latency_ms: float | None) -> Measured:
    item = measured(number, accuracy, macs)
    return replace(item, evaluation=replace(item.evaluation, latency_ms=latency_ms))


@given(three)
def test_with_latency_nothing_on_the_front_is_beaten_in_all_three(found: list[tuple[float, int, int]]) -> None:
    def beats(x: tuple[float, int, int], y: tuple[float, int, int]) -> bool:
        return x != y and x[0] >= y[0] and x[1] <= y[1] and x[2] <= y[2]

    front = Front.of([timed(i, *point) for i, point in enumerate(found)], dense_macs=DENSE, with_latency=True)
    members = [(item.accuracy, item.macs, int(item.latency_ms)) for item in front.members]
    assert set(members) == {point for point in found if not any(beats(other, point) for other in found)}
    assert len(set(members)) == len(members)
    plain = Front.of([timed(i, *point) for i, point in enumerate(found)], dense_macs=DENSE)
    assert math.isclose(front.hypervolume(), plain.hypervolume())


@given(three, st.integers(1, 4), st.integers(1, 4))
def test_best_under_both_budgets(found: list[tuple[float, int, int]], macs: int, limit: int) -> None:
    front = Front.of([timed(i, *point) for i, point in enumerate(found)], dense_macs=DENSE, with_latency=True)
    best = front.best_under(macs, limit_ms=limit)
    fitting = [accuracy for accuracy, cost, latency in found if cost <= macs and latency <= limit]
    assert (best.accuracy if best else None) == max(fitting, default=None)


def test_without_a_prediction_no_latency_budget_is_met() -> None:
    front = Front.of([timed(0, 0.5, 10, None)], dense_macs=DENSE)
    assert front.best_under(DENSE) is not None
    assert front.best_under(DENSE, limit_ms=1e9) is None
    assert front.rows()[0]["latency_ms"] is None
