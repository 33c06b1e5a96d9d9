"""Scale factors of batch norms."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pruners.evidence import Evidence, batch_norm_weights
from pruners.registries import METHODS
from spaces import ChannelGroup, Domain


@METHODS.register("bn_scale", paper="arXiv:1708.06519")
@dataclass(frozen=True, slots=True, kw_only=True)
class BatchNormScale:
    """Absolute batch-norm weight, averaged over the batch norms that act on the channel; small ones go first.

    Source: Liu et al., Network Slimming, arXiv:1708.06519, section 3; the average over coupled batch norms, and the
    norm of the filters where a group has none (a hidden linear layer), are our adaptations.
    """

    domains: ClassVar[Mapping[str, Domain]] = {}
    needs: ClassVar[frozenset[str]] = frozenset({"weights"})
    fidelity: ClassVar[str] = "mean over coupled batch norms; the filters' norm where there is none"

    def score(self, group: ChannelGroup, evidence: Evidence) -> Tensor:
        if not batch_norm_weights(group):
            return evidence.filters(group).square().sum(dim=1).sqrt()
        return torch.stack([scale.abs() for scale in evidence.scales(group)]).mean(dim=0)
