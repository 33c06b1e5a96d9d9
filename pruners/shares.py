"""Plans to try a network with: some of every group's channels, the same ones at every call."""

import random
from collections.abc import Callable, Sequence

from pruners.plan import Plan
from spaces import ChannelGroup


def half(groups: Sequence[ChannelGroup]) -> Plan:
    """A fixed random half of every group's channels, at least one kept and one cut."""
    return _some(groups, lambda generator, width: width // 2)


def uneven(groups: Sequence[ChannelGroup]) -> Plan:
    """A fixed random share of every group's channels, between a quarter and three quarters, another for each group.

    Equal shares would hide code that reads a border from the number of channels, such as `x[:, : x.size(1) // 2]`.
    """
    return _some(groups, lambda generator, width: round(width * generator.uniform(0.25, 0.75)))


def _some(groups: Sequence[ChannelGroup], count: Callable[[random.Random, int], int]) -> Plan:
    kept = {}
    for group in groups:
        generator = random.Random(group.name)
        order = list(range(group.width))
        generator.shuffle(order)
        kept[group.name] = order[: min(max(1, count(generator, group.width)), max(1, group.width - 1))]
    return Plan.of(kept)
