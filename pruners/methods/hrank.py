"""Rank of the feature maps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pruners import figures
from pruners.evidence import Evidence
from pruners.registries import METHODS
from spaces import ChannelGroup, Domain


@METHODS.register("hrank", paper="arXiv:2002.10179")
@dataclass(frozen=True, slots=True, kw_only=True)
class HRank:
    """Mean matrix rank of the channel's feature map; maps of low rank go first.

    Maps of one pixel have rank 0 or 1, so that the score is how often the channel speaks; equal ranks are told apart
    by the mean activation, which never outweighs a difference in rank.

    Source: Lin et al., HRank, arXiv:2002.10179; on tens of images instead of 500, where the next layer reads
    (after pooling).
    """

    domains: ClassVar[Mapping[str, Domain]] = {}
    needs: ClassVar[frozenset[str]] = frozenset({"maps", "activations"})
    fidelity: ClassVar[str] = "fewer images; taken where the next layer reads; ties by mean activation"

    def score(self, group: ChannelGroup, evidence: Evidence) -> Tensor:
        activation = evidence.activation(group)
        return evidence.figure(group, figures.RANK) + 1e-6 * activation / activation.max().clamp_min(1e-30)
