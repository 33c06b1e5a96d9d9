"""L2 norm of the filters."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pruners.evidence import Evidence
from pruners.registries import METHODS
from spaces import ChannelGroup, Domain


@METHODS.register("l2", paper="arXiv:1808.06866")
@dataclass(frozen=True, slots=True, kw_only=True)
class L2:
    """Euclidean norm over everything that computes the channel; small filters go first.

    Source: He et al., Soft Filter Pruning, arXiv:1808.06866, equation 2 with p = 2; coupled layers are concatenated
    (our reading for residual groups).
    """

    domains: ClassVar[Mapping[str, Domain]] = {}
    needs: ClassVar[frozenset[str]] = frozenset({"weights"})

    def score(self, group: ChannelGroup, evidence: Evidence) -> Tensor:
        return evidence.filters(group).square().sum(dim=1).sqrt()
