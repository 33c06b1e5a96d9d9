"""What a search says about itself: whether cheap rungs rank like dear ones, where time went, what beats chance."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from search.config import Plugin
from search.front import Measured, hypervolume
from search.rank_correlation import Agreement, Array, agreement, at_equal_macs
from search.stopwatch import Timings
from search.study import Records

FEWEST = 5
"""Candidates below which an order says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How well a cheap measurement ranks candidates as a dear one does.

    Attributes:
        cheap: name of the one.
        dear: of the other: accuracy on that rung.
        overall: over all candidates that have both; the budget alone explains most of it.
        at_equal_macs: of what is left after a smooth fit over the logarithm of MACs: what a search needs at one budget.
    """

    cheap: str
    dear: str
    overall: Agreement
    at_equal_macs: Agreement


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A part of the evaluations: its seconds, and their share of all evaluations'."""

    name: str
    seconds: float
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Hypervolume of the front of the first 1, 2, 3, ... candidates, all measured on one rung.

    Attributes:
        who: `search`, or `random` for independent draws from the same space with the same ladder.
        fidelity: the rung.
        rung: its name.
        values: after each candidate in the order in which they were drawn; failed ones count as candidates.
    """

    who: str
    fidelity: int
    rung: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyReport:
    """Everything together.

    Attributes:
        num_rungs: of the ladder.
        comparisons: of every pair of rungs that share at least `FEWEST` candidates, then of what comes free.
        stages: where the evaluations' time went.
        timings: of every start of the driver that came to its end.
        curves: the search's and, where it was asked for, random search's; of the first and the last rung.
    """

    num_rungs: int
    comparisons: tuple[Comparison, ...]
    stages: tuple[Stage, ...]
    timings: tuple[Timings, ...]
    curves: tuple[Curve, ...]

    @property
    def overhead(self) -> float | None:
        """Share of the workers' time in which they waited, over all starts; None where no start ended."""
        available = sum(timings.workers * timings.window for timings in self.timings)
        return sum(timings.lost for timings in self.timings) / available if available > 0 else None

    def catches_up(self, fidelity: int) -> int | None:
        """Candidates after which the search has the hypervolume that random search ended with; None if never."""
        curves = {curve.who: curve.values for curve in self.curves if curve.fidelity == fidelity}
        if not curves.get("random") or not curves.get("search"):
            return None
        goal = curves["random"][-1]
        return next((place + 1 for place, value in enumerate(curves["search"]) if value >= goal), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**asdict(self), "overhead": self.overhead}

    def metrics(self) -> dict[str, float]:
        """The figures as flat names, for MLflow."""
        found: dict[str, float] = {}
        for comparison in self.comparisons:
            for suffix, agreed in (("", comparison.overall), ("_equal_macs", comparison.at_equal_macs)):
                for kind, estimate in (("spearman", agreed.spearman), ("kendall", agreed.kendall)):
                    if estimate is not None:
                        found[f"{kind}{suffix}/{_plain(comparison.cheap)}/{_plain(comparison.dear)}"] = estimate.value
        found |= {f"time_share/{_plain(stage.name)}": stage.share for stage in self.stages}
        if self.overhead is not None:
            found["overhead_share"] = self.overhead
        for curve in self.curves:
            if curve.values:
                found[f"final_hypervolume/{curve.who}/{_plain(curve.rung)}"] = curve.values[-1]
        return found


def proxy_report(records: Records, *, ladder: Sequence[Plugin]) -> ProxyReport:
    """The report of a study as it is now."""
    measured = [item for item in records.measured() if item.evaluation.status == "complete"]
    rungs = {fidelity: rung_name(fidelity, ladder) for fidelity in sorted({m.evaluation.fidelity for m in measured})}
    return ProxyReport(
        num_rungs=len(ladder),
        comparisons=_comparisons(measured, rungs),
        stages=_stages(records.measured(), ladder),
        timings=tuple(Timings(**session["timings"]) for session in records.sessions() if "timings" in session),
        curves=tuple(_curves(records, ladder)),
    )


def rung_name(fidelity: int, ladder: Sequence[Plugin]) -> str:
    """How people call a rung: its proxy and what the user set, or the training after the search."""
    if fidelity >= len(ladder):
        return "final training"
    rung = ladder[fidelity]
    return " ".join([rung.name, *(f"{key}={value}" for key, value in rung.params.items())])


def curve(measured: Iterable[Measured], *, fidelity: int, dense_macs: int) -> tuple[float, ...]:
    """Hypervolume of the front at `fidelity` after each candidate, in the order of their numbers."""
    answers: dict[int, tuple[float, float] | None] = {}
    for item in measured:
        answers.setdefault(item.number, None)
        if item.evaluation.status == "complete" and item.evaluation.fidelity == fidelity:
            answers[item.number] = (item.accuracy, item.macs / dense_macs)
    values, front = [0.0], list[tuple[float, float]]()
    for _, point in sorted(answers.items()):
        if point is None or any(other[0] >= point[0] and other[1] <= point[1] for other in front):
            values.append(values[-1])
            continue
        front = [other for other in front if other[0] > point[0] or other[1] < point[1]] + [point]
        values.append(hypervolume(front))
    return tuple(values[1:])


def _comparisons(measured: Sequence[Measured], rungs: Mapping[int, str]) -> tuple[Comparison, ...]:
    by_rung = {
        fidelity: {item.number: item for item in measured if item.evaluation.fidelity == fidelity} for fidelity in rungs
    }
    found = []
    for dear in rungs:
        for cheap in (other for other in rungs if other < dear):
            both = sorted(by_rung[cheap].keys() & by_rung[dear].keys())
            if len(both) >= FEWEST:
                values = _column([by_rung[cheap][number] for number in both], "accuracy")
                items = [by_rung[dear][number] for number in both]
                found.append(_comparison(values, items, cheap=rungs[cheap], dear=rungs[dear]))
    enough = [fidelity for fidelity in rungs if len(by_rung[fidelity]) >= FEWEST]
    if enough:
        items = [item for _, item in sorted(by_rung[enough[-1]].items())]
        dear_name = rungs[enough[-1]]
        found.append(_comparison(np.log(_column(items, "params")), items, cheap="parameters kept", dear=dear_name))
        found.append(_comparison(-_column(items, "loss"), items, cheap="loss on the same rung", dear=dear_name))
    return tuple(found)


def _comparison(values: Array, items: Sequence[Measured], *, cheap: str, dear: str) -> Comparison:
    accuracy, macs = _column(items, "accuracy"), _column(items, "macs")
    left, fitted = at_equal_macs(values, macs)
    right, _ = at_equal_macs(accuracy, macs)
    return Comparison(
        cheap=cheap,
        dear=dear,
        overall=agreement(values, accuracy),
        at_equal_macs=agreement(left, right, num_fitted=fitted),
    )


def _column(items: Sequence[Measured], name: str) -> Array:
    return np.array([float(getattr(item.evaluation, name)) for item in items])


def _stages(measured: Iterable[Measured], ladder: Sequence[Plugin]) -> tuple[Stage, ...]:
    """Seconds by part: `plan`, `slim` and the like over all rungs, the proxy rung by rung, and the rest."""
    seconds: dict[str, float] = {}
    rest = 0.0
    for item in measured:
        evaluation = item.evaluation
        for part, spent in evaluation.timings.items():
            name = f"proxy: {rung_name(evaluation.fidelity, ladder)}" if part == "proxy" else part
            seconds[name] = seconds.get(name, 0.0) + spent
        rest += max(0.0, evaluation.seconds - math.fsum(evaluation.timings.values()))
    seconds["counting and the rest"] = rest
    total = math.fsum(seconds.values())
    if total == 0:
        return ()
    return tuple(Stage(name=name, seconds=spent, share=spent / total) for name, spent in seconds.items())


def _curves(records: Records, ladder: Sequence[Plugin]) -> Iterable[Curve]:
    random = records.random()
    for fidelity in sorted({0, len(ladder) - 1}):
        for who, source in (("search", records), ("random", random)):
            if source is not None:
                values = curve(source.measured(), fidelity=fidelity, dense_macs=records.dense.macs)
                yield Curve(who=who, fidelity=fidelity, rung=rung_name(fidelity, ladder), values=values)


def _plain(name: str) -> str:
    """What MLflow takes in the name of a metric."""
    return "".join(letter if letter.isalnum() or letter in "-_. " else "_" for letter in name)
