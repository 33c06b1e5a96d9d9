"""From label classes to channel groups.

A class is a unit: all positions that go when one channel goes. Units that own equally many positions of the same axes
form a group. Whatever can't be a group is reported with its reason.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from pruners.ledger import IntArray
from pruners.positions import Positions
from pruners.trace import Trace
from spaces.group import ChannelGroup, Slice

Place = tuple[str, int]
"""A tensor and an axis."""
TIED = "only the tied weight that computes it reads it"


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseReason:
    """Channels that stay as they are, and why.

    Attributes:
        name: the first layer that produces them.
        width: how many they are.
        reason: why none of them can be cut.
        layers: all layers that produce them.
    """

    name: str
    width: int
    reason: str
    layers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """All groups of a trace, what stays dense, and the group and channel of every node.

    Attributes:
        owner: index of the group that owns a node, shape (num_nodes,), or -1.
    """

    groups: tuple[ChannelGroup, ...]
    dense: tuple[DenseReason, ...]
    owner: IntArray


def find_groups(trace: Trace) -> Grouping:
    """Sort a trace's units into groups; groups come in the order of the forward pass."""
    units = _units(trace)
    reasons = {int(trace.classes[node]): reason for node, reason in reversed(list(trace.frozen.items()))}
    hints = {int(trace.classes[node]): reason for node, reason in reversed(list(trace.hints.items()))}
    by_signature: dict[tuple[object, ...], list[int]] = defaultdict(list)
    dense: dict[tuple[str, str], int] = defaultdict(int)
    layers: dict[tuple[str, str], set[str]] = defaultdict(set)
    factor_counts = _factor_counts(trace)
    for unit, places in units.items():
        producer = _first(places, trace, "producer")
        reason = reasons.get(unit) or _why_not(places, trace)
        if reason is not None:
            if producer is not None:
                key = (module_of(producer[0]), reason)
                dense[key] += len(places[producer])
                layers[key] |= {module_of(place[0]) for place in places if trace.roles[place] == "producer"}
            continue
        signature = tuple(sorted((p, len(v)) for p, v in places.items() if p[0] not in trace.transient))
        by_signature[(signature, factor_counts.get(unit, ()))].append(unit)
    groups: list[ChannelGroup] = []
    of_class = np.full(len(trace.classes), -1, dtype=np.int64)
    for members in by_signature.values():
        group = _build(trace, units, members)
        if group.width < 2:
            reason = hints.get(members[0], "all of its channels depend on each other")
            dense[(group.name, reason)] += len(group.with_role("producer")[0].positions[0])
            layers[(group.name, reason)] |= set(producers(group))
            continue
        of_class[members] = len(groups)
        groups.append(group)
    left = tuple(
        DenseReason(name=name, width=width, reason=reason, layers=tuple(sorted(layers[name, reason])))
        for (name, reason), width in dense.items()
    )
    left = (*left, *_unmentioned(trace, groups, left))
    return Grouping(groups=_unique_names(groups), dense=left, owner=of_class[trace.classes])


def _unmentioned(trace: Trace, groups: list[ChannelGroup], left: tuple[DenseReason, ...]) -> Iterator[DenseReason]:
    """Weights whose outputs are in no group and not reported yet: nothing stays dense in silence."""
    known = {layer for group in groups for layer in producers(group)}
    known |= {layer for reason in left for layer in reason.layers}
    reasons = {int(trace.classes[node]): reason for node, reason in reversed(list(trace.frozen.items()))}
    for tensor, shape in trace.shapes.items():
        name = module_of(tensor)
        if name in known or tensor not in trace.parameters or len(shape) < 2 or "weight" not in tensor:
            continue
        axes = [axis for number in range(len(shape)) if (axis := trace.axes.get((tensor, number))) is not None]
        found = [reasons.get(int(trace.classes[axis.first])) for axis in axes]
        why = next((reason for reason in found if reason), "nothing that can be cut reads it")
        why = why if axes else "takes no part in this forward pass"
        yield DenseReason(name=name, width=shape[0], reason=why, layers=(name,))


def _units(trace: Trace) -> dict[int, dict[Place, list[int]]]:
    """Class -> (tensor, axis) -> positions, for every axis with a role."""
    units: dict[int, dict[Place, list[int]]] = defaultdict(dict)
    for place in trace.axes:
        if place not in trace.roles:
            continue
        axis = trace.axes[place]
        for position, unit in enumerate(trace.classes[axis.first : axis.first + axis.size].tolist()):
            units[unit].setdefault(place, []).append(position)
    return units


def _first(places: Mapping[Place, list[int]], trace: Trace, role: str) -> Place | None:
    found = [place for place in places if trace.roles[place] == role]
    return min(found, key=lambda place: trace.axes[place].first) if found else None


def _why_not(places: Mapping[Place, list[int]], trace: Trace) -> str | None:
    if _first(places, trace, "consumer") is None:
        return TIED if trace.both & set(places) else "nothing that can be cut reads it"
    if _first(places, trace, "producer") is None:
        return "no layer produces it"
    return None


def _factor_counts(trace: Trace) -> dict[int, tuple[tuple[int, int], ...]]:
    """How often each class stands in each cost factor: channels of one group must cost the same."""
    counts: dict[int, list[tuple[int, int]]] = defaultdict(list)
    factors = [factor for term in trace.terms for factor in term.factors]
    for index, factor in enumerate(factors):
        units, numbers = np.unique(trace.classes[factor[factor > 0]], return_counts=True)
        for unit, number in zip(units.tolist(), numbers.tolist(), strict=True):
            counts[unit].append((index, number))
    return {unit: tuple(rows) for unit, rows in counts.items()}


def _build(trace: Trace, units: Mapping[int, Mapping[Place, list[int]]], members: list[int]) -> ChannelGroup:
    named = [_first(units[unit], trace, "producer") for unit in members]
    name = min((place for place in named if place), key=lambda place: trace.axes[place].first)
    ordered = sorted(members, key=lambda unit: units[unit][name][0])
    places = sorted({place for unit in members for place in units[unit]}, key=lambda place: trace.axes[place].first)
    same: dict[Positions, Positions] = {}  # equal lists are one object, whose arrays are then built once
    pieces = tuple(
        Slice(
            tensor=place[0],
            axis=place[1],
            role=trace.roles[place],
            positions=same.setdefault(lists := Positions(tuple(units[unit].get(place, ())) for unit in ordered), lists),
        )
        for place in places
    )
    return ChannelGroup(
        name=module_of(name[0]),
        width=len(members),
        slices=tuple(piece for piece in pieces if piece.role != "record"),
        records=tuple(piece for piece in pieces if piece.role == "record"),
        stage=trace.stages.get(name[0], ""),
    )


def producers(group: ChannelGroup) -> tuple[str, ...]:
    """The layers that compute a group's channels."""
    return tuple(dict.fromkeys(module_of(piece.tensor) for piece in group.with_role("producer")))


def module_of(tensor: str) -> str:
    """The module that owns a parameter: `layer1.0.conv1` for `layer1.0.conv1.weight`."""
    return tensor.removesuffix(".weight")


def _unique_names(groups: list[ChannelGroup]) -> tuple[ChannelGroup, ...]:
    """A layer whose channels fall into several groups gives each a number: `conv`, `conv#2`."""
    seen: dict[str, int] = defaultdict(int)
    named = []
    for group in groups:
        seen[group.name] += 1
        suffix = f"#{seen[group.name]}" if seen[group.name] > 1 else ""
        named.append(replace(group, name=group.name + suffix))
    return tuple(named)
