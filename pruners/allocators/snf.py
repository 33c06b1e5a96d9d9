"""A greedy search for the number of filters of every layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pruners.allocation import cache_key, energy_loss, levels, num_layers
from pruners.cost import FloatArray
from pruners.evidence import Evidence
from pruners.ledger import IntArray
from pruners.registries import ALLOCATORS
from spaces import ChannelGroup, Domain, Float

NUM_LEVELS = 17
SHARE = 8


@ALLOCATORS.register("snf", paper="arXiv:2112.07282")
@dataclass(frozen=True, slots=True, kw_only=True)
class SNF:
    """From the dense network down, always one step in those groups where a step costs least norm per MAC saved.

    Source: the idea of SNF, arXiv:2112.07282: search the most suitable number of filters per layer for a
    FLOPs target first, then prune by any criterion. The paper's own search rule was not available; this one is OUR
    READING: a group has 16 steps; the price of a step is what the logarithm of the group's squared filter norm loses
    with the weakest channels, times the number of layers that compute the group; in each round the best eighth of all
    groups takes one.

    Attributes:
        balance: exponent of the saved MACs; 0 looks at the norm alone, 1 at norm per MAC.
        ratio: place on the path, from dense to smallest.
    """

    domains: ClassVar[Mapping[str, Domain]] = {"balance": Float(low=0.0, high=1.5)}
    needs: ClassVar[frozenset[str]] = frozenset({"weights"})
    scalar: ClassVar[str | None] = "ratio"
    scalar_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    fidelity: ClassVar[str] = "our reading: the paper's search rule was not available"

    balance: float = 0.5
    ratio: float = 0.5

    def ratios(self, groups: Sequence[ChannelGroup], evidence: Evidence) -> FloatArray:
        key = cache_key(f"snf {self.balance}", groups)
        path: IntArray = evidence.derived(None, key, lambda: self._path(groups, evidence))
        place = np.clip(self.ratio, 0, 1) * (len(path) - 1)
        low, part = int(place), place - int(place)
        between = path[low] * (1 - part) + path[min(low + 1, len(path) - 1)] * part
        removed: FloatArray = 1 - between / np.array([group.width for group in groups])
        return removed

    def _path(self, groups: Sequence[ChannelGroup], evidence: Evidence) -> IntArray:
        """Widths from full to smallest, shape (rounds + 1, num_groups)."""
        widths = levels(groups, NUM_LEVELS)
        lost = [energy_loss(g, evidence)[g.width - widths[:, index]] for index, g in enumerate(groups)]
        steps = np.diff(np.stack(lost, axis=1), axis=0) * num_layers(groups, evidence)
        level = np.zeros(len(groups), dtype=np.int64)
        index = np.arange(len(groups))
        path = [widths[0]]
        while (level < NUM_LEVELS - 1).any():
            following = np.minimum(level + 1, NUM_LEVELS - 1)
            vectors = np.tile(path[-1], (len(groups), 1))
            vectors[index, index] = widths[following, index]
            saved = evidence.cost.macs(path[-1]) - evidence.cost.macs(vectors)
            price = steps[following - 1, index] / np.maximum(saved, 1.0) ** self.balance
            price[level == NUM_LEVELS - 1] = np.inf
            chosen = np.argsort(price, kind="stable")[: -(-len(groups) // SHARE)]
            level[chosen] = following[chosen]
            path.append(widths[level, index])
        return np.stack(path)
