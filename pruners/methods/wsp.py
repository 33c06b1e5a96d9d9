"""Channels that are weak forwards and backwards, by weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pruners.evidence import Evidence
from pruners.registries import METHODS
from pruners.weak import NORMS, SIDES, backward_sums, forward_sums, strength
from spaces import Categorical, ChannelGroup, Domain, Float


@METHODS.register("wsp", paper="Neural Networks 144:614-626 (2021)")
@dataclass(frozen=True, slots=True, kw_only=True)
class WSP:
    """Weak sub-network pruning: first go the channels whose producer and consumer weights are both small.

    Source: Weak sub-network pruning for strong and efficient neural networks, Neural Networks 144:614-626 (2021), as
    the authors' code computes it: two percentiles and their intersection. For any number of channels that is the order
    of max(forward rank, backward rank), which this method fills exactly. Ours: ties go by the sum of both ranks, then
    by index; a residual group takes the worst rank over all its producers and consumers (the code masks one pair and
    leaves the other paths alone); a depthwise layer's sums are added to its producer's; every `side` but
    `intersection`.

    Attributes:
        side: how the two sides meet, see `pruners.weak.strength`.
        norm: sums of |w|, or of w squared.
        weight_forward: of the forward rank where side is `blend`.
    """

    domains: ClassVar[Mapping[str, Domain]] = {
        "side": Categorical(choices=SIDES),
        "norm": Categorical(choices=NORMS),
        "weight_forward": Float(low=0.0, high=1.0),
    }
    needs: ClassVar[frozenset[str]] = frozenset({"weights"})
    fidelity: ClassVar[str] = "the published order fills any count; other sides, blends and residual groups are ours"

    side: str = "intersection"
    norm: str = "l1"
    weight_forward: float = 0.5

    def score(self, group: ChannelGroup, evidence: Evidence) -> Tensor:
        forward, backward = forward_sums(group, evidence, self.norm), backward_sums(group, evidence, self.norm)
        return strength(forward, backward, side=self.side, weight_forward=self.weight_forward)
