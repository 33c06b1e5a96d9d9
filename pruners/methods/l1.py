"""L1 norm of the filters."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pruners.evidence import Evidence
from pruners.registries import METHODS
from spaces import ChannelGroup, Domain


@METHODS.register("l1", paper="arXiv:1608.08710")
@dataclass(frozen=True, slots=True, kw_only=True)
class L1:
    """Sum of absolute weights over everything that computes the channel; small filters go first.

    Source: Li et al., Pruning Filters for Efficient ConvNets, arXiv:1608.08710, section 3.1; coupled layers are
    concatenated (our reading for residual groups).
    """

    domains: ClassVar[Mapping[str, Domain]] = {}
    needs: ClassVar[frozenset[str]] = frozenset({"weights"})

    def score(self, group: ChannelGroup, evidence: Evidence) -> Tensor:
        return evidence.filters(group).abs().sum(dim=1)
