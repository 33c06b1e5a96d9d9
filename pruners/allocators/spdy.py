"""The cheapest errors that buy enough compute."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pruners.allocation import cache_key, coupled, depths, energy_loss, levels, num_layers
from pruners.cost import FloatArray
from pruners.evidence import Evidence
from pruners.ledger import IntArray
from pruners.registries import ALLOCATORS
from spaces import Categorical, ChannelGroup, Domain, Float

NUM_LEVELS = 21
NUM_BUCKETS = 1000
KNOTS = (0.0, 1 / 3, 2 / 3, 1.0)


@ALLOCATORS.register("spdy", paper="arXiv:2201.13096")
@dataclass(frozen=True, slots=True, kw_only=True)
class SPDY:
    """One level per group by dynamic programming: the least sum of coefficient x error that saves enough MACs.

    Source: Frantar and Alistarh, SPDY, arXiv:2201.13096: knapsack over layers with the prior error (i / (n - 1))^2 of
    level i, and coefficients that a search adapts. An ADAPTATION: MACs in the place of timings, taken with the other
    groups at full width; coefficients follow four knots over depth, so that a sampler can search them (a group's own is
    its offset); the error counts once for each layer that computes the group. In the place of the prior, `energy` takes
    the loss of the logarithm of the squared norm; `refitted` takes what the layers that read the group lose although
    they are refitted, a share of their outputs' variance (ZipLM, arXiv:2302.04089; the errors of the method `obs`).

    The solutions of all buckets come from one table. They are ordered by the exact cost of the whole vector, which
    makes `ratio` monotone in cost.

    Attributes:
        first: coefficient of the first group; a low one is pruned more. The others lie at thirds of the way.
        residual: factor on coefficients where several layers share the channels.
        error: of a level.
        ratio: place among the solutions, from dense to smallest.
    """

    domains: ClassVar[Mapping[str, Domain]] = {
        **{name: Float(low=0.05, high=1.0) for name in ("first", "second", "third", "last")},
        "residual": Float(low=0.2, high=5.0, log=True),
        "error": Categorical(choices=("quadratic", "energy", "refitted")),
    }
    needs: ClassVar[frozenset[str]] = frozenset({"weights", "elimination"})
    scalar: ClassVar[str | None] = "ratio"
    scalar_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    fidelity: ClassVar[str] = "MACs instead of timings; coefficients by four knots over depth"

    first: float = 1.0
    second: float = 1.0
    third: float = 1.0
    last: float = 1.0
    residual: float = 1.0
    error: str = "quadratic"
    ratio: float = 0.5

    def ratios(self, groups: Sequence[ChannelGroup], evidence: Evidence) -> FloatArray:
        coefficients = (self.first, self.second, self.third, self.last, self.residual, self.error)
        key = cache_key(f"spdy {coefficients}", groups)
        ordered: IntArray = evidence.derived(None, key, lambda: self._solutions(groups, evidence))
        chosen = ordered[int(np.floor(self.ratio * (len(ordered) - 1) + 1e-6))]
        removed: FloatArray = 1 - chosen / np.array([group.width for group in groups])
        return removed

    def _solutions(self, groups: Sequence[ChannelGroup], evidence: Evidence) -> IntArray:
        """Widths of the best vector of every bucket, from expensive to cheap, shape (solutions, num_groups)."""
        widths = levels(groups, NUM_LEVELS)
        knots = (self.first, self.second, self.third, self.last)
        coefficients = np.interp(depths(len(groups)), KNOTS, knots) * self.residual ** coupled(groups, evidence)
        buckets = _buckets(savings(widths, groups, evidence))
        chosen = knapsack(coefficients * self._errors(widths, groups, evidence), buckets)
        vectors = np.unique(np.take_along_axis(widths, chosen, axis=0), axis=0)
        order = np.argsort(-evidence.cost.macs(vectors), kind="stable")
        return vectors[order]

    def _errors(self, widths: IntArray, groups: Sequence[ChannelGroup], evidence: Evidence) -> FloatArray:
        if self.error == "quadratic":
            place = np.linspace(0, 1, len(widths))[:, None] ** 2
            return place * num_layers(groups, evidence)
        if self.error == "refitted":
            lost = [refitted_errors(g, evidence)[g.width - widths[:, index]] for index, g in enumerate(groups)]
            return np.stack(lost, axis=1)
        columns = [energy_loss(g, evidence)[g.width - widths[:, index]] for index, g in enumerate(groups)]
        return np.stack(columns, axis=1) * num_layers(groups, evidence)


def refitted_errors(group: ChannelGroup, evidence: Evidence) -> FloatArray:
    """What the readers of a group lose with r channels gone, r = 0..width; the prior where nothing is known of them."""
    found = evidence.elimination(group)
    if found is None:
        prior: FloatArray = np.linspace(0, 1, group.width + 1) ** 2
        return prior
    errors: FloatArray = found.errors.numpy()
    return errors


def savings(widths: IntArray, groups: Sequence[ChannelGroup], evidence: Evidence) -> IntArray:
    """MACs saved by each level of each group, the others at full width, shape (levels, num_groups)."""
    vectors = np.tile(evidence.cost.dense, (*widths.shape, 1))
    index = np.arange(len(groups))
    vectors[:, index, index] = widths
    saved: IntArray = evidence.cost.dense_macs - evidence.cost.macs(vectors.reshape(-1, len(groups)))
    return saved.reshape(widths.shape)


def _buckets(saved: IntArray) -> IntArray:
    whole = max(int(saved.max(axis=0).sum()), 1)
    buckets: IntArray = np.rint(saved * (NUM_BUCKETS / whole)).astype(np.int64)
    return buckets


def knapsack(errors: FloatArray, saved: IntArray) -> IntArray:
    """For every amount 0, 1, ... that can be saved, the level of each item that saves it with the least error.

    Args:
        errors: of each level of each item, shape (levels, items); level 0 saves nothing.
        saved: whole numbers, of the same shape.

    Returns:
        Levels, shape (largest saving + 1, items).
    """
    num_items = errors.shape[1]
    amounts = np.arange(int(saved.max(axis=0).sum()) + 1)
    best = np.where(amounts == 0, 0.0, np.inf)
    picks = []
    for item in range(num_items):
        before = np.maximum(amounts - saved[:, item, None], 0)
        totals = best[before] + errors[:, item, None]
        picks.append(totals.argmin(axis=0))
        best = totals.min(axis=0)
    chosen = np.zeros((len(amounts), num_items), dtype=np.int64)
    left = amounts
    for item in reversed(range(num_items)):
        chosen[:, item] = picks[item][left]
        left = np.maximum(left - saved[chosen[:, item], item], 0)
    return chosen
