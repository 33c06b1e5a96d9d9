"""Distance from the geometric median."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pruners.evidence import Evidence
from pruners.registries import METHODS
from spaces import Categorical, ChannelGroup, Domain


@METHODS.register("fpgm", paper="arXiv:1811.00250")
@dataclass(frozen=True, slots=True, kw_only=True)
class FPGM:
    """Sum of distances to all filters of the group; the most replaceable, those in the middle, go first.

    Source: He et al., Filter Pruning via Geometric Median, arXiv:1811.00250, equation 4. `cosine` is the variant of the
    authors' code. Distances are taken in float64; coupled layers are concatenated (our reading for residual groups).
    """

    domains: ClassVar[Mapping[str, Domain]] = {"metric": Categorical(choices=("l2", "cosine"))}
    needs: ClassVar[frozenset[str]] = frozenset({"weights"})

    metric: str = "l2"

    def score(self, group: ChannelGroup, evidence: Evidence) -> Tensor:
        if self.metric == "cosine":
            unit = torch.nn.functional.normalize(evidence.filters(group), dim=1)
            return (1 - unit @ unit.T).sum(dim=1)
        return evidence.distances(group).sum(dim=1)
