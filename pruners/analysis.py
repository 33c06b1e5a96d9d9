"""Everything that a search needs to know of a network before it cuts: proven groups, what stays dense, exact cost."""

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from pruners.cost import CostModel
from pruners.grouping import DenseReason, Grouping, find_groups, producers
from pruners.proof import unproven
from pruners.trace import trace
from spaces import ChannelGroup, UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRules:
    """What a user asks of the groups.

    Attributes:
        include: shell patterns of group names; only these may be cut.
        exclude: shell patterns of group names that stay dense.
        multiple_of: kept widths are multiples of this wherever the dense width is.
        min_keep: at least this many channels stay in every group.
    """

    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    multiple_of: int = 1
    min_keep: int = 1

    def __post_init__(self) -> None:
        if self.multiple_of < 1 or self.min_keep < 1:
            raise ValueError(f"needs multiple_of >= 1 and min_keep >= 1, got {self.multiple_of} and {self.min_keep}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """A network, understood.

    Attributes:
        groups: proven channel groups in the order of the forward pass.
        dense: what stays as it is, and why.
        cost: MACs and parameters of any vector of widths over `groups`.
    """

    groups: tuple[ChannelGroup, ...]
    dense: tuple[DenseReason, ...]
    cost: CostModel


def analyse(model: nn.Module, example_input: Any, *, rules: GroupRules | None = None) -> Analysis:
    """Trace a network, find its groups and prove each; the network is left as it was.

    Args:
        model: any module; its flags and weights are restored.
        example_input: a tensor of shape (1, C, H, W), or a tuple of arguments.
        rules: what the user wants left alone.

    Raises:
        UserError: a pattern that fits no group.
    """
    found = find_groups(record := trace(model, example_input))
    chosen = _without(found, _excluded(found.groups, rules or GroupRules()))
    proven = _without(chosen, unproven(model, chosen.groups, example_input))
    bounded = replace(proven, groups=tuple(_bounded(group, rules or GroupRules()) for group in proven.groups))
    return Analysis(groups=bounded.groups, dense=bounded.dense, cost=CostModel(record, bounded))


def _excluded(groups: Sequence[ChannelGroup], rules: GroupRules) -> dict[str, str]:
    names = [group.name for group in groups]
    for key, patterns in (("space.include", rules.include), ("space.exclude", rules.exclude)):
        for pattern in patterns:
            if pattern != "*" and not fnmatch.filter(names, pattern):
                raise UserError(key, pattern, "fits no channel group of this network", choices=names)
    included = {name for pattern in rules.include for name in fnmatch.filter(names, pattern)}
    excluded = {name for pattern in rules.exclude for name in fnmatch.filter(names, pattern)}
    return {name: "excluded by the configuration" for name in names if name not in included or name in excluded}


def _bounded(group: ChannelGroup, rules: GroupRules) -> ChannelGroup:
    multiple = rules.multiple_of if group.width % rules.multiple_of == 0 else 1
    least = -(-min(rules.min_keep, group.width) // multiple) * multiple
    return replace(group, multiple_of=multiple, min_keep=least)


def _without(grouping: Grouping, reasons: dict[str, str]) -> Grouping:
    """The grouping with the named groups left dense for the given reasons."""
    if not reasons:
        return grouping
    stay = [index for index, group in enumerate(grouping.groups) if group.name not in reasons]
    renumber = np.full(len(grouping.groups) + 1, -1, dtype=np.int64)
    renumber[stay] = np.arange(len(stay))
    left = [
        DenseReason(name=g.name, width=g.width, reason=reasons[g.name], layers=producers(g))
        for g in grouping.groups
        if g.name in reasons
    ]
    return Grouping(
        groups=tuple(grouping.groups[index] for index in stay),
        dense=(*grouping.dense, *left),
        owner=renumber[grouping.owner],
    )
