"""Which channels stay."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pruners.cost import widths
from pruners.ledger import IntArray
from spaces import ChannelGroup, PlanError


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Group name -> sorted indices of the channels that stay; a group that is not named stays whole."""

    kept: tuple[tuple[str, tuple[int, ...]], ...]

    def __post_init__(self) -> None:
        for name, indices in self.kept:
            if not indices or list(indices) != sorted(set(indices)) or indices[0] < 0:
                raise PlanError(f"plan for {name}: needs sorted, distinct indices, at least one; got {indices}")

    @classmethod
    def of(cls, kept: Mapping[str, Sequence[int]]) -> "Plan":
        """A plan from any mapping; names and indices are sorted."""
        return cls(kept=tuple((name, tuple(sorted(int(i) for i in kept[name]))) for name in sorted(kept)))

    def __iter__(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        return iter(self.kept)

    def counts(self, groups: Sequence[ChannelGroup]) -> IntArray:
        """Kept widths in the groups' order, shape (num_groups,)."""
        return widths({name: len(indices) for name, indices in self.kept}, groups)

    def to_json(self) -> str:
        """Canonical JSON: equal plans give equal text."""
        return json.dumps(dict(self.kept), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """The inverse of `to_json`."""
        return cls.of(json.loads(text))
