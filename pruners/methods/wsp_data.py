"""Channels that are weak forwards and backwards, by what data shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pruners.evidence import Evidence
from pruners.registries import METHODS
from pruners.weak import SIDES, strength
from spaces import Categorical, ChannelGroup, Domain, Float


@METHODS.register("wsp_data", paper="Neural Networks 144:614-626 (2021)")
@dataclass(frozen=True, slots=True, kw_only=True)
class WSPData:
    """Weak sub-network pruning with activations and gradients in place of weight sums.

    Source: Neural Networks 144:614-626 (2021), whose abstract speaks of activation and gradient sparsity while the
    authors' code looks at weights only (that is `wsp`). An ADAPTATION of the abstract: forward is the mean |activation|
    of the channel, backward the mean |gradient| of the loss there, over calibration images; the rest is `wsp`.

    Attributes:
        side: how the two sides meet, see `pruners.weak.strength`.
        weight_forward: of the forward rank where side is `blend`.
    """

    domains: ClassVar[Mapping[str, Domain]] = {
        "side": Categorical(choices=SIDES),
        "weight_forward": Float(low=0.0, high=1.0),
    }
    needs: ClassVar[frozenset[str]] = frozenset({"activations"})
    fidelity: ClassVar[str] = "the abstract's activations and gradients; the authors' code uses weights alone"

    side: str = "intersection"
    weight_forward: float = 0.5

    def score(self, group: ChannelGroup, evidence: Evidence) -> Tensor:
        forward = evidence.activation(group).double().numpy()[None]
        backward = evidence.activation_gradient(group).double().numpy()[None]
        return strength(forward, backward, side=self.side, weight_forward=self.weight_forward)
