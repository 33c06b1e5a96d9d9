"""Layer-adaptive magnitude."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pruners.evidence import Evidence
from pruners.registries import METHODS
from spaces import ChannelGroup, Domain


@METHODS.register("lamp", paper="arXiv:2010.07611")
@dataclass(frozen=True, slots=True, kw_only=True)
class LAMP:
    """Squared norm of a filter over the squared norms of all filters that are not smaller; small ones go first.

    Within a group the order is that of `l2`; between groups the scores compare, which `global_score` uses. Equal norms
    are ordered by index, so the largest filter always scores 1.

    Source: Lee et al., Layer-Adaptive Sparsity for the Magnitude-based Pruning, arXiv:2010.07611, with filters
    in the place of single weights.
    """

    domains: ClassVar[Mapping[str, Domain]] = {}
    needs: ClassVar[frozenset[str]] = frozenset({"weights"})
    fidelity: ClassVar[str] = "filters in the place of single weights"

    def score(self, group: ChannelGroup, evidence: Evidence) -> Tensor:
        return lamp_scores(evidence.filters(group).square().sum(dim=1))


def lamp_scores(squares: Tensor) -> Tensor:
    """Each entry over the sum of all that come no earlier in ascending order, shape of `squares`; in [0, 1]."""
    ordered, order = squares.sort(stable=True)
    remaining = ordered.flip(0).cumsum(0).flip(0)
    return torch.empty_like(squares).scatter_(0, order, ordered / remaining.clamp_min(1e-300))
