"""How many channels of each group are weak on both sides at one percentile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pruners.cost import FloatArray
from pruners.evidence import Evidence
from pruners.ledger import IntArray
from pruners.registries import ALLOCATORS
from pruners.weak import NORMS, backward_sums, forward_sums, ranks
from spaces import Categorical, ChannelGroup, Domain, Float


@ALLOCATORS.register("wsp", paper="Neural Networks 144:614-626 (2021)")
@dataclass(frozen=True, slots=True, kw_only=True)
class WSP:
    """Weak sub-network pruning: one percentile for all layers; a group loses what lies below it on both sides.

    Source: Neural Networks 144:614-626 (2021), as the authors' code computes it. Faithful: linearly interpolated
    percentile per layer and side, strict comparison, intersection; so the removed share follows from how far the two
    sides agree (from p squared to p). Ours: `p_conv` is solved from the budget and the other two percentiles are given
    relative to it; the first linear layer's columns are summed per channel, where the code mixes neighbours.

    Attributes:
        p_conv: percentile between two convolutions, in [0, 100].
        fc_factor: percentile between two linear layers, as a multiple of `p_conv`, at most 100.
        conv_fc_factor: likewise where a linear layer reads a convolution.
        norm: sums of |w|, or of w squared.
        residual: also cut groups with several producers, by the worst rank over all of them; off, they keep their
            width until the budget can't be met otherwise.
    """

    domains: ClassVar[Mapping[str, Domain]] = {
        "fc_factor": Float(low=0.25, high=4.0, log=True),
        "conv_fc_factor": Float(low=0.25, high=4.0, log=True),
        "norm": Categorical(choices=NORMS),
        "residual": Categorical(choices=(False, True)),
    }
    needs: ClassVar[frozenset[str]] = frozenset({"weights"})
    fidelity: ClassVar[str] = "p_conv solved from the budget"
    scalar: ClassVar[str | None] = "p_conv"
    scalar_range: ClassVar[tuple[float, float]] = (0.0, 100.0)

    p_conv: float = 50.0
    fc_factor: float = 1.0
    conv_fc_factor: float = 1.0
    norm: str = "l1"
    residual: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.p_conv <= 100:
            raise ValueError(f"needs 0 <= p_conv <= 100, got {self.p_conv}")

    def ratios(self, groups: Sequence[ChannelGroup], evidence: Evidence) -> FloatArray:
        return np.array([self._removed(group, evidence) / group.width for group in groups])

    def _removed(self, group: ChannelGroup, evidence: Evidence) -> int:
        if not self.residual and len(forward_sums(group, evidence, self.norm)) > 1:
            return 0
        factor = {"fc": self.fc_factor, "conv_fc": self.conv_fc_factor}.get(_kind(group, evidence), 1.0)
        position = min(self.p_conv * factor, 100.0) / 100 * (group.width - 1)
        return int(np.searchsorted(_sorted_ranks(group, evidence, self.norm), position))


def _sorted_ranks(group: ChannelGroup, evidence: Evidence, norm: str) -> IntArray:
    """The larger of both ranks of each channel, ascending, shape (width,); those below p / 100 (n - 1) are weak."""

    def compute() -> IntArray:
        ahead, back = ranks(forward_sums(group, evidence, norm)), ranks(backward_sums(group, evidence, norm))
        return np.sort(np.maximum(ahead, back))

    found: IntArray = evidence.derived(group, f"sorted weak ranks {norm}", compute)
    return found


def _kind(group: ChannelGroup, evidence: Evidence) -> str:
    """`fc`, `conv_fc` or `conv`, by what computes and what reads the channels."""
    linear = {
        role: all(evidence.tensors[piece.tensor].dim() == 2 for piece in group.with_role(role))
        for role in ("producer", "consumer")
    }
    if linear["producer"]:
        return "fc"
    return "conv_fc" if linear["consumer"] else "conv"
