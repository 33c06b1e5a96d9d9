"""One threshold on layer-adaptive magnitudes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from pruners.allocation import cache_key
from pruners.cost import FloatArray
from pruners.evidence import Evidence
from pruners.methods.lamp import lamp_scores
from pruners.registries import ALLOCATORS
from spaces import ChannelGroup, Domain

GRID = 1024
SAMPLE = 2**16
"""A larger group is represented by so many of its weights, drawn once."""


@ALLOCATORS.register("lamp", paper="arXiv:2010.07611")
@dataclass(frozen=True, slots=True, kw_only=True)
class LAMPThreshold:
    """The share of a group's weights whose LAMP score is among the lowest of the network.

    Source: Lee et al., arXiv:2010.07611: w^2 over the sum of all squares in the layer that are not smaller, one global
    threshold. The weights' layerwise sparsity is used as the removed fraction of channels; coupled layers are one layer
    (both our adaptation). For scores of whole filters use `global_score` with method `lamp`.

    Attributes:
        ratio: share of all weights below the threshold, in steps of 1/1024.
    """

    domains: ClassVar[Mapping[str, Domain]] = {}
    needs: ClassVar[frozenset[str]] = frozenset({"weights"})
    scalar: ClassVar[str | None] = "ratio"
    scalar_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    fidelity: ClassVar[str] = "the sparsity of weights becomes the removed fraction of channels"

    ratio: float = 0.5

    def ratios(self, groups: Sequence[ChannelGroup], evidence: Evidence) -> FloatArray:
        table = evidence.derived(None, cache_key("lamp", groups), lambda: _shares_below(groups, evidence))
        places = np.arange(GRID + 1) / GRID
        return np.array([np.interp(self.ratio, places, column) for column in table.T])


def _shares_below(groups: Sequence[ChannelGroup], evidence: Evidence) -> FloatArray:
    """Share of each group's weights below every 1/1024-quantile of all scores, shape (GRID + 1, num_groups)."""
    scores = [_scores(evidence.filters(group)) for group in groups]
    stands_for = [evidence.filters(group).numel() / len(score) for group, score in zip(groups, scores, strict=True)]
    pooled, order = torch.cat(scores).sort()
    counts = torch.cat([torch.full((len(s),), n) for s, n in zip(scores, stands_for, strict=True)])[order].cumsum(0)
    ends = torch.searchsorted(counts, torch.arange(GRID) / GRID * counts[-1], right=True)
    thresholds = torch.cat([pooled[ends], pooled.new_full((1,), torch.inf)])
    shares: FloatArray = np.stack([torch.searchsorted(s, thresholds).numpy() / len(s) for s in scores], axis=1)
    return shares


def _scores(weights: Tensor) -> Tensor:
    """LAMP scores of the weights, or of `SAMPLE` drawn ones scaled to the whole, ascending."""
    squares = weights.square().flatten()
    if len(squares) > SAMPLE:
        drawn = torch.randint(len(squares), (SAMPLE,), generator=torch.Generator().manual_seed(0))
        return (lamp_scores(squares[drawn]) * (SAMPLE / len(squares))).sort().values
    return lamp_scores(squares).sort().values
