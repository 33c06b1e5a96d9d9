"""Successive halving over two objectives: who goes on to the next rung of the ladder. Pure functions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

Point: TypeAlias = tuple[float, float]
"""(accuracy, MACs): higher is better in the first, lower in the second."""


def dominates(first: Point, second: Point) -> bool:
    """Whether `first` is nowhere worse and somewhere better."""
    return first[0] >= second[0] and first[1] <= second[1] and first != second


def ranks(points: Sequence[Point]) -> list[int]:
    """How many fronts have to be peeled off before a point is non-dominated; 0 is best. O(n log n).

    A point's rank is the length of the longest chain of points that dominate each other down to it.
    """
    order = sorted(range(len(points)), key=lambda index: (points[index][1], -points[index][0]))
    result = [0] * len(points)
    best: list[Point] = []  # best[r]: the most accurate point of rank r so far
    for index in order:
        point = points[index]
        rank = next((r for r, top in enumerate(best) if not dominates(top, point)), len(best))
        if rank == len(best):
            best.append(point)
        elif point[0] >= best[rank][0]:
            best[rank] = point
        result[index] = rank
    return result


def crowding(points: Sequence[Point]) -> list[float]:
    """NSGA-II's crowding distance (Deb et al. 2002, section III-B): larger is lonelier, ends are infinite."""
    distance = [0.0] * len(points)
    for axis in (0, 1):
        order = sorted(range(len(points)), key=lambda index: points[index][axis])
        span = points[order[-1]][axis] - points[order[0]][axis] if points else 0.0
        for position, index in enumerate(order):
            if position in (0, len(order) - 1):
                distance[index] = math.inf
            elif span > 0:
                gap = points[order[position + 1]][axis] - points[order[position - 1]][axis]
                distance[index] += gap / span
    return distance


@dataclass(slots=True, kw_only=True)
class Rungs:
    """The results seen on each rung, and the rule for going on.

    Accuracy and MACs trade off, so among networks of all sizes hardly one dominates another and halving would stop
    nobody. A trial therefore competes with those of similar MACs only.

    Attributes:
        reduction: the best one in this many goes on; with fewer rivals the best of them does. Never more: in a search
            that gets better and better nearly every newcomer is among the best so far.
        similar: rivals' MACs differ by at most this share.
    """

    reduction: int
    similar: float
    _seen: dict[int, dict[str, Point]] = field(default_factory=dict)
    _gone_on: dict[int, set[str]] = field(default_factory=dict)

    def goes_on(self, trial: str, *, fidelity: int, point: Point) -> bool:
        """Record a trial's result on rung `fidelity` and say whether it is worth the next one (asynchronous: now)."""
        rung = self._seen.setdefault(fidelity, {})
        rung[trial] = point
        width = math.log1p(self.similar)
        rivals = [name for name, other in rung.items() if abs(math.log(other[1] / point[1])) <= width]
        # A percent of MACs less must not save a weak trial: seen from this one, equal is what lies half a width away.
        coarse = [(rung[name][0], float(round(math.log(rung[name][1] / point[1]) / width))) for name in rivals]
        rank, lonely = ranks(coarse), crowding([rung[name] for name in rivals])
        order = sorted(range(len(rivals)), key=lambda index: (rank[index], -lonely[index]))
        places, gone_on = math.ceil(len(rivals) / self.reduction), self._gone_on.setdefault(fidelity, set())
        if len(gone_on.intersection(rivals)) >= places or rivals.index(trial) not in order[:places]:
            return False
        gone_on.add(trial)
        return True
