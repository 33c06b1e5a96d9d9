"""Everything that a search needs to know of a network before it cuts: proven groups, what stays dense, exact cost."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from pruners.cost import CostModel
from pruners.grouping import DenseReason, Grouping, find_groups, producers
from pruners.latency import LatencyModel
from pruners.proof import prove
from pruners.rules import GroupRules, bounded_groups, excluded
from pruners.trace import trace
from spaces import ChannelGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """A network, understood.

    Attributes:
        groups: proven channel groups in the order of the forward pass.
        dense: what stays as it is, and why.
        cost: MACs and parameters of any vector of widths over `groups`.
        latency: milliseconds likewise, with the most that are allowed; None where nothing was measured.
    """

    groups: tuple[ChannelGroup, ...]
    dense: tuple[DenseReason, ...]
    cost: CostModel
    latency: LatencyModel | None = None


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
    rules = rules or GroupRules()
    chosen = _without(found, excluded(found.groups, rules))
    verdict = prove(model, chosen.groups, example_input)
    proven = _without(chosen, verdict.reasons)
    limited = replace(proven, groups=bounded_groups(verdict.groups, rules))
    return Analysis(groups=limited.groups, dense=limited.dense, cost=CostModel(record, limited))


def _without(grouping: Grouping, reasons: Mapping[str, str]) -> Grouping:
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
