"""The Pareto front of accuracy against MACs and perhaps latency, its hypervolume, and the best under a budget."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from evaluators.evaluation import Evaluation
from evaluators.precision import Precision
from spaces import Candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense:
    """The network that the search started from.

    Attributes:
        macs: multiply-adds of one input.
        params: its parameters.
        accuracy: on the search split, in [0, 1].
        latency_ms: where it is predicted.
        precision: the number format that the search's candidates are measured in.
    """

    macs: int
    params: int
    accuracy: float
    latency_ms: float | None = None
    precision: Precision = "float32"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A candidate of the study with one evaluation of it."""

    number: int
    candidate: Candidate
    evaluation: Evaluation

    @property
    def accuracy(self) -> float:
        """Share of the search split classified right, in [0, 1]; higher is better."""
        return float(self.evaluation.accuracy)

    @property
    def macs(self) -> int:
        """Multiply-adds of one input; lower is better."""
        return int(self.evaluation.macs)

    @property
    def latency_ms(self) -> float:
        """Predicted milliseconds of a forward pass; lower is better, infinite where there is no prediction."""
        return math.inf if self.evaluation.latency_ms is None else float(self.evaluation.latency_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """Non-dominated evaluations of one fidelity, from the smallest network to the largest.

    With two objectives accuracy rises with MACs; with latency as a third one, a less accurate network may follow.
    """

    members: tuple[Measured, ...]
    dense_macs: int
    fidelity: int

    @classmethod
    def of(
        cls,
        measured: Iterable[Measured],
        *,
        dense_macs: int,
        fidelity: int | None = None,
        with_latency: bool = False,
    ) -> "Front":
        """The front of the evaluations at `fidelity`, by default the highest that any has.

        Failed and infeasible evaluations are left out. Of equal ones the earliest stays. `with_latency` makes latency a
        third objective.
        """
        good = [item for item in measured if item.evaluation.status == "complete"]
        if fidelity is None:
            fidelity = max((item.evaluation.fidelity for item in good), default=0)
        same = [item for item in good if item.evaluation.fidelity == fidelity]
        members = tuple(non_dominated(same, with_latency=with_latency))
        return cls(members=members, dense_macs=dense_macs, fidelity=fidelity)

    @classmethod
    def settled(cls, measured: Sequence[Measured], *, dense_macs: int, with_latency: bool = False) -> "Front":
        """The front of the highest fidelity at which every member of every lower front was measured.

        While a search climbs its ladder few candidates have reached the top; their front would look poor. Networks that
        were trained and tested after the search make the front as soon as there are any.
        """
        if any(item.evaluation.test_accuracy is not None for item in measured):
            return cls.of(measured, dense_macs=dense_macs, with_latency=with_latency)
        highest = max((item.evaluation.fidelity for item in measured), default=0)
        lower: set[int] = set()
        best = cls.of(measured, dense_macs=dense_macs, fidelity=0, with_latency=with_latency)
        for fidelity in range(highest + 1):
            front = cls.of(measured, dense_macs=dense_macs, fidelity=fidelity, with_latency=with_latency)
            if front.members and lower <= {m.number for m in measured if m.evaluation.fidelity == fidelity}:
                best = front
            lower |= {item.number for item in front.members}
        return best

    def hypervolume(self) -> float:
        """The share in [0, 1] of the box accuracy x MACs that the front dominates; higher is better.

        Exact in two dimensions, and of these two even where latency is a third objective. The reference point is
        accuracy 0 at the dense network's MACs; accuracy is a share of 1 and MACs a share of the dense ones, so 1 would
        be a perfect classifier that costs nothing.
        """
        return hypervolume([(item.accuracy, item.macs / self.dense_macs) for item in self.members])

    def best_under(self, budget_macs: int, *, limit_ms: float = math.inf) -> Measured | None:
        """The most accurate member with at most `budget_macs` and `limit_ms`, the smallest of equals; or None."""
        within = [item for item in self.members if item.macs <= budget_macs and item.latency_ms <= limit_ms]
        return max(within, key=lambda item: item.accuracy, default=None)

    def rows(self) -> list[dict[str, Any]]:
        """One flat row per member for tables, JSON and CSV."""
        return [_row(item, dense_macs=self.dense_macs) for item in self.members]


def non_dominated(measured: Sequence[Measured], *, with_latency: bool = False) -> list[Measured]:
    """Those that no other beats in one objective and equals in the others, by rising MACs.

    O(n log n), with latency O(n x length of the front).
    """
    kept: list[Measured] = []
    for item in sorted(measured, key=lambda item: (item.macs, -item.accuracy, item.latency_ms, item.number)):
        # all in `kept` have no more MACs; without latency the last one is the most accurate of them
        rivals = kept if with_latency else kept[-1:]
        if not any(
            rival.accuracy >= item.accuracy and (not with_latency or rival.latency_ms <= item.latency_ms)
            for rival in rivals
        ):
            kept.append(item)
    return kept


def hypervolume(points: Sequence[tuple[float, float]]) -> float:
    """Area that (accuracy, cost) points dominate below the reference (0, 1); points beyond it add nothing."""
    area, best = 0.0, 0.0
    ordered = sorted(points, key=lambda point: (point[1], -point[0]))
    for accuracy, cost in ordered:
        if accuracy > best and cost < 1:
            area += (accuracy - best) * (1 - cost)
            best = accuracy
    return area


def _row(item: Measured, *, dense_macs: int) -> dict[str, Any]:
    evaluation = item.evaluation
    return {
        "trial": item.number,
        "accuracy": item.accuracy,
        "test_accuracy": evaluation.test_accuracy,
        "macs": item.macs,
        "macs_ratio": item.macs / dense_macs,
        "params": evaluation.params,
        "thop_macs": evaluation.thop_macs,
        "latency_ms": evaluation.latency_ms,
        "allocator": item.candidate.allocator.name,
        "method": item.candidate.method.name,
        "step": item.candidate.step.name if item.candidate.step else None,
        "fidelity": evaluation.fidelity,
        "seconds": evaluation.seconds,
    }
