"""What a user asks of the groups: which may be cut, to which multiples and within which bounds."""

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from spaces import ChannelGroup, UserError

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRules:
    """What a user asks of the groups. Patterns are shell patterns of group names; the last one that fits counts.

    Attributes:
        include: only groups that fit one of these may be cut.
        exclude: groups that fit one of these stay dense.
        multiple_of: kept widths are multiples of this wherever the dense width is.
        min_keep: at least this many channels stay in every group.
        multiples: pattern -> multiple for these groups.
        ratios: pattern -> smallest and largest removed fraction of these groups, in [0, 1].
    """

    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    multiple_of: int = 1
    min_keep: int = 1
    multiples: Mapping[str, int] = field(default_factory=dict)
    ratios: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.multiple_of < 1 or self.min_keep < 1:
            raise ValueError(f"needs multiple_of >= 1 and min_keep >= 1, got {self.multiple_of} and {self.min_keep}")
        for pattern, multiple in self.multiples.items():
            if multiple < 1:
                raise UserError(f"space.multiples.{pattern}", multiple, "must be at least 1")
        for pattern, (least, most) in self.ratios.items():
            if not 0 <= least <= most <= 1:
                raise UserError(
                    f"space.ratios.{pattern}", (least, most), "must be two fractions, the smaller one first"
                )


def excluded(groups: Sequence[ChannelGroup], rules: GroupRules) -> dict[str, str]:
    """Groups that the rules leave dense, each with the reason.

    Raises:
        UserError: a pattern that fits no group.
    """
    names = [group.name for group in groups]
    patterns = {
        "include": rules.include,
        "exclude": rules.exclude,
        "multiples": rules.multiples,
        "ratios": rules.ratios,
    }
    for key, given in patterns.items():
        for pattern in given:
            if pattern != "*" and not fnmatch.filter(names, pattern):
                raise UserError(f"space.{key}", pattern, "fits no channel group of this network", choices=names)
    left = {name for name in names if not fits(name, rules.include) or fits(name, rules.exclude)}
    whole = {name for name in names if (bounds := last_fit(name, rules.ratios)) is not None and bounds[1] == 0}
    return {name: "excluded by the configuration" for name in names if name in left | whole}


def bounded_groups(groups: Sequence[ChannelGroup], rules: GroupRules) -> tuple[ChannelGroup, ...]:
    """The groups with their multiples and bounds.

    Raises:
        UserError: bounds between which no width is a multiple of what was asked.
    """
    return tuple(_bounded(group, rules) for group in groups)


def _bounded(group: ChannelGroup, rules: GroupRules) -> ChannelGroup:
    multiple = last_fit(group.name, rules.multiples) or rules.multiple_of
    multiple = multiple if group.width % multiple == 0 else 1
    smallest, largest = last_fit(group.name, rules.ratios) or (0.0, 1.0)
    least = max(min(rules.min_keep, group.width), _up(group.width * (1 - largest)), 1)
    least = -(-least // multiple) * multiple
    most = _down(group.width * (1 - smallest)) // multiple * multiple
    if least > most:
        rule = f"leave no width of {group.name} ({group.width}) that is a multiple of {multiple}"
        raise UserError("space.ratios", (smallest, largest), rule)
    return replace(group, multiple_of=multiple, min_keep=least, max_keep=most)


def _up(value: float) -> int:
    return -int(-(value - 1e-6) // 1)


def _down(value: float) -> int:
    return int(value + 1e-6)


def fits(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name fits any of the patterns."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def last_fit(name: str, table: Mapping[str, T]) -> T | None:
    """What the last pattern that a name fits stands for."""
    found = [value for pattern, value in table.items() if fnmatch.fnmatchcase(name, pattern)]
    return found[-1] if found else None
