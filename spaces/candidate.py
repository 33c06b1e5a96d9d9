"""One point of the search: what to prune, how much, and by which rule."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spaces.domain import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A plugin by name, with its hyper-parameters sorted by name."""

    name: str
    params: tuple[tuple[str, Value], ...] = ()

    @classmethod
    def of(cls, name: str, params: Mapping[str, Value] | None = None) -> "Choice":
        """The canonical choice: parameters sorted by name."""
        return cls(name=name, params=tuple(sorted((params or {}).items())))


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Everything that decides a pruned network, given the dense one.

    Attributes:
        budget_macs: the network built from it has at most this many MACs, and no channel more would fit.
        allocator: says how many channels of each group stay.
        method: says which.
        step: changes the network afterwards, or None.
        offsets: (group or stage name, number added to the removed fraction there), sorted by name.
        rounds: prune in this many equal steps of the budget, with training between them.
    """

    budget_macs: int
    allocator: Choice
    method: Choice
    step: Choice | None = None
    offsets: tuple[tuple[str, float], ...] = ()
    rounds: int = 1

    def __post_init__(self) -> None:
        if self.budget_macs <= 0 or self.rounds < 1:
            raise ValueError(f"a candidate needs budget_macs > 0 and rounds >= 1, got {self}")

    def to_json(self) -> str:
        """Canonical JSON: equal candidates give equal text."""
        data = {
            "budget_macs": self.budget_macs,
            "allocator": _choice_to_data(self.allocator),
            "method": _choice_to_data(self.method),
            "step": None if self.step is None else _choice_to_data(self.step),
            "offsets": dict(self.offsets),
            "rounds": self.rounds,
        }
        return json.dumps(data, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Candidate":
        """The inverse of `to_json`."""
        data: dict[str, Any] = json.loads(text)
        return cls(
            budget_macs=int(data["budget_macs"]),
            allocator=Choice.of(**data["allocator"]),
            method=Choice.of(**data["method"]),
            step=None if data["step"] is None else Choice.of(**data["step"]),
            offsets=tuple(sorted(data["offsets"].items())),
            rounds=int(data["rounds"]),
        )

    @property
    def key(self) -> str:
        """Stable 16 hexadecimal digits; the seed of an evaluation is derived from it."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]


def _choice_to_data(choice: Choice) -> dict[str, Any]:
    return {"name": choice.name, "params": dict(choice.params)}
