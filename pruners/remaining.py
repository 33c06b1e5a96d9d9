"""What is left to cut after a cut: groups and costs of the slim network, without tracing it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pruners.analysis import Analysis
from pruners.grouping import Place
from pruners.ledger import IntArray
from pruners.plan import Plan
from pruners.positions import Positions, positions_of
from pruners.slim import removed_positions
from spaces import ChannelGroup, Slice


def remaining(analysis: Analysis, plan: Plan) -> Analysis:
    """The analysis of `slim(model, analysis.groups, plan)`: the same groups, narrower, with the bounds that they had.

    A group that has come down to its smallest width is still there and can't be cut further.
    """
    gone = {place: np.unique(found) for place, found in removed_positions(analysis.groups, plan).items()}
    kept = dict(plan)
    groups = tuple(_narrowed(group, kept.get(group.name), gone) for group in analysis.groups)
    cost = analysis.cost.with_groups(groups)
    cost.dense_macs, cost.dense_params, cost.dense_thop = (
        int(count(cost.dense)[0]) for count in (cost.macs, cost.params, cost.thop)
    )
    return replace(analysis, groups=groups, cost=cost)


def composed(groups: Sequence[ChannelGroup], plans: Sequence[Plan]) -> Plan:
    """One plan over the first network's groups that keeps what all rounds keep."""
    kept = {group.name: tuple(range(group.width)) for group in groups}
    for plan in plans:
        for name, indices in plan:
            kept[name] = tuple(kept[name][index] for index in indices)
    return Plan.of(kept)


def _narrowed(group: ChannelGroup, kept: Sequence[int] | None, gone: Mapping[Place, IntArray]) -> ChannelGroup:
    """The group with the channels that stay, at the positions that they have in the slim network."""
    stays = np.array(range(group.width) if kept is None else kept, dtype=np.int64)
    return replace(
        group,
        width=len(stays),
        slices=tuple(_moved(piece, stays, gone.get((piece.tensor, piece.axis))) for piece in group.slices),
        max_keep=min(group.max_keep, len(stays)),
    )


def _moved(piece: Slice, stays: IntArray, gone: IntArray | None) -> Slice:
    positions = positions_of(piece.positions)
    flat = positions.of(stays)
    if gone is not None:
        flat = flat - np.searchsorted(gone, flat)
    ends = np.cumsum(np.diff(positions.starts)[stays])[:-1]
    return replace(piece, positions=Positions(tuple(part.tolist()) for part in np.split(flat, ends)))
