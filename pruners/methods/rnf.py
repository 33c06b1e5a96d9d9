"""Filters that every other filter names among its nearest."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pruners.evidence import Evidence
from pruners.parts import producer_parts
from pruners.registries import METHODS
from spaces import Categorical, ChannelGroup, Domain, Float

EXACT_ELEMENTS = 2**24
"""Groups with at most this many differences (width x width x fan_in) get distances without cancellation."""


@METHODS.register("rnf", paper="arXiv:2202.07190")
@dataclass(frozen=True, slots=True, kw_only=True)
class RNF:
    """Recommendation by nearest filters: those that rank high in everybody's list of neighbours stay.

    Source: Lin et al., Pruning Networks with Cross-Layer Ranking and k-Reciprocal Nearest Filters, arXiv:2202.07190
    (RNF half). The published loop intersects all filters' k nearest, k growing, until enough are held; that keeps the
    filters with the smallest worst rank. Faithful wherever the loop ends exactly; where it overshoots it draws by lot,
    and here the smaller sum of ranks, then the lower index decides. Ours: distances in float64 instead of a float32
    kernel that vanishes for large filters; coupled layers are concatenated, each divided by its norm; `cosine`;
    `k_ratio` below 1 and `pairwise`.

    Attributes:
        metric: squared Euclidean distance, or that of the filters' directions.
        k_ratio: 1 is the published rule. Below, filters are ordered by how many lists of the ceil(k_ratio * width)
            nearest hold them, and only then by worst rank.
        pairwise: with k_ratio below 1, a list counts only where the two filters name each other.
    """

    domains: ClassVar[Mapping[str, Domain]] = {
        "metric": Categorical(choices=("sqeuclid", "cosine")),
        "k_ratio": Float(low=0.05, high=1.0),
        "pairwise": Categorical(choices=(False, True)),
    }
    needs: ClassVar[frozenset[str]] = frozenset({"weights"})
    fidelity: ClassVar[str] = "faithful where k_ratio is 1; soft groups, mutual neighbours and cosine are ours"

    metric: str = "sqeuclid"
    k_ratio: float = 1.0
    pairwise: bool = False

    def score(self, group: ChannelGroup, evidence: Evidence) -> Tensor:
        ranks = evidence.derived(group, f"rnf ranks {self.metric}", lambda: self._ranks(group, evidence))
        votes = torch.zeros(group.width, dtype=torch.int64)
        if self.k_ratio < 1:
            num_neighbours = math.ceil(self.k_ratio * group.width - 1e-9)
            votes = occurrences(ranks, num_neighbours=num_neighbours, pairwise=self.pairwise)
        return score_from_ranks(ranks, votes=votes)

    def _ranks(self, group: ChannelGroup, evidence: Evidence) -> Tensor:
        parts = producer_parts(group, evidence)
        if len(parts) > 1:
            parts = tuple(part / part.norm().clamp_min(torch.finfo(part.dtype).tiny) for part in parts)
        filters = torch.cat(parts, dim=1)
        if self.metric == "cosine":
            filters = torch.nn.functional.normalize(filters, dim=1)
        return neighbour_ranks(filters)


def neighbour_ranks(filters: Tensor) -> Tensor:
    """Rank of filter j in filter i's list of neighbours, nearest first: entry (i, j) in 1..width, int64.

    Every filter leads its own list; equal distances rank by index. Distances count as equal where they differ by
    rounding only, so that the ranks do not change when all filters are scaled, shifted or rotated.

    Args:
        filters: shape (width, fan_in), float64.
    """
    distances = _squared_distances(filters)
    mantissa, exponent = torch.frexp(distances / distances.max().clamp_min(torch.finfo(torch.float64).tiny))
    rounded = torch.ldexp((mantissa * 2.0**40).round(), exponent)
    order = rounded.fill_diagonal_(-1.0).argsort(dim=1, stable=True)
    positions = torch.arange(1, len(filters) + 1).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, positions)


def occurrences(ranks: Tensor, *, num_neighbours: int, pairwise: bool) -> Tensor:
    """In how many lists of `num_neighbours` each filter stands, its own included, shape (width,).

    With `pairwise` only lists of filters that it names itself count.
    """
    named = ranks <= num_neighbours
    return (named & named.T if pairwise else named).sum(dim=0)


def score_from_ranks(ranks: Tensor, *, votes: Tensor) -> Tensor:
    """One number per filter, shape (width,), the highest stays: by votes, worst rank, sum of ranks, index."""
    keys = zip((-votes).tolist(), ranks.amax(dim=0).tolist(), ranks.sum(dim=0).tolist(), strict=True)
    order = [index for _, index in sorted((key, index) for index, key in enumerate(keys))]
    score = torch.empty(len(order), dtype=torch.float64)
    score[order] = torch.arange(len(order), 0, -1, dtype=torch.float64)
    return score


def _squared_distances(filters: Tensor) -> Tensor:
    """Squared Euclidean distances (width, width), float64; by differences where that is affordable."""
    width, fan_in = filters.shape
    if width * width * fan_in <= EXACT_ELEMENTS:
        return torch.stack([(filters - row).square().sum(dim=1) for row in filters])
    centred = filters - filters.mean(dim=0)
    squares = centred.square().sum(dim=1)
    return (squares[:, None] + squares - 2 * centred @ centred.T).clamp_min(0)
