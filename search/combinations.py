"""Which combinations of allocator, method and step reach the front, and how often each plugin was tried."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from search.front import Front, Measured
from spaces import Candidate
from spaces.space import NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """One allocator, method, step and number of rounds that the front has.

    Attributes:
        allocator: by name, whatever its hyper-parameters; likewise `method` and `step`.
        method: see there.
        step: see there; `none` where the network was only cut.
        rounds: cuts with training between them.
        on_front: members of the front that it made.
        tried: networks of it measured at the front's fidelity.
        lowest: MACs of its smallest member as a fraction of the dense network's.
        highest: of its largest.
        best_accuracy: of its members, on the search split, in [0, 1].
    """

    allocator: str
    method: str
    step: str
    rounds: int
    on_front: int
    tried: int
    lowest: float
    highest: float
    best_accuracy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """One plugin over the whole search: networks tried at the front's fidelity, and those on the front."""

    kind: str
    name: str
    tried: int
    on_front: int


def combinations(front: Front, measured: Iterable[Measured]) -> tuple[Combination, ...]:
    """What the front is made of, most members first."""
    tried = _by_key(_comparable(front, measured))
    found = [
        Combination(
            allocator=key[0],
            method=key[1],
            step=key[2],
            rounds=key[3],
            on_front=len(members),
            tried=len(tried[key]),
            lowest=min(item.macs for item in members) / front.dense_macs,
            highest=max(item.macs for item in members) / front.dense_macs,
            best_accuracy=max(item.accuracy for item in members),
        )
        for key, members in _by_key(front.members).items()
    ]
    return tuple(sorted(found, key=lambda item: (-item.on_front, -item.best_accuracy)))


def tallies(front: Front, measured: Iterable[Measured]) -> tuple[Tally, ...]:
    """Allocators, methods, steps and rounds that were tried, those that the front has most of first."""
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    members = {item.number for item in front.members}
    for item in _comparable(front, measured):
        for kind, name in zip(("allocator", "method", "step", "rounds"), _key(item.candidate), strict=True):
            count = counts[kind, str(name)]
            count[0] += 1
            count[1] += item.number in members
    found = [Tally(kind=kind, name=name, tried=t, on_front=f) for (kind, name), (t, f) in counts.items()]
    kinds = ["allocator", "method", "step", "rounds"]
    return tuple(sorted(found, key=lambda tally: (kinds.index(tally.kind), -tally.on_front, -tally.tried)))


def cells(found: Sequence[Combination]) -> list[tuple[str, ...]]:
    """Rows for people, under `COLUMNS`."""
    return [
        (
            item.allocator,
            item.method,
            item.step,
            str(item.rounds),
            str(item.on_front),
            str(item.tried),
            _range(item),
            f"{100 * item.best_accuracy:.2f}",
        )
        for item in found
    ]


COLUMNS = ("allocator", "method", "step", "rounds", "on the front", "tried", "of dense MACs", "best accuracy %")
NUMBERS = (3, 4, 5, 6, 7)
"""Columns that hold numbers."""


def _range(item: Combination) -> str:
    low, high = f"{100 * item.lowest:.1f}", f"{100 * item.highest:.1f}"
    return f"{low} %" if low == high else f"{low} to {high} %"


def _comparable(front: Front, measured: Iterable[Measured]) -> list[Measured]:
    """Complete evaluations at the front's fidelity."""
    return [
        item for item in measured if item.evaluation.status == "complete" and item.evaluation.fidelity == front.fidelity
    ]


def _by_key(measured: Iterable[Measured]) -> dict[tuple[str, str, str, int], list[Measured]]:
    found: dict[tuple[str, str, str, int], list[Measured]] = defaultdict(list)
    for item in measured:
        found[_key(item.candidate)].append(item)
    return found


def _key(candidate: Candidate) -> tuple[str, str, str, int]:
    step = candidate.step.name if candidate.step else NONE
    return candidate.allocator.name, candidate.method.name, step, candidate.rounds
