"""One threshold on a criterion's scores."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from pruners.allocation import cache_key, macs_per_channel
from pruners.cost import FloatArray
from pruners.evidence import Evidence
from pruners.ledger import IntArray
from pruners.registries import ALLOCATORS, METHODS
from spaces import Categorical, ChannelGroup, Domain

SCALES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "none": lambda score: score.new_ones(()),
    "mean": lambda score: score.abs().mean(),
    "l2": lambda score: score.square().mean().sqrt(),
    "max": lambda score: score.abs().max(),
}


@ALLOCATORS.register("global_score", paper="arXiv:1611.06440")
@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalScore:
    """The channels with the lowest scores of the whole network, whatever group they are in, counted per group.

    Source: Molchanov et al., arXiv:1611.06440, section 2.2 (Taylor scores, l2 per layer, compared globally); Liu et
    al., arXiv:1708.06519, for batch-norm scales; Lee et al., arXiv:2010.07611, for LAMP; Liu et al., arXiv:2108.00708,
    for Fisher information per compute. Only the counts are used; the candidate's method picks the channels.

    Attributes:
        method: whose scores, with its published settings.
        normalise: what a group's scores are divided by first; root mean square for `l2`.
        per_mac: divide by the MACs that one channel of the group costs.
        ratio: share of all channels below the threshold.
    """

    domains: ClassVar[Mapping[str, Domain]] = {
        "method": Categorical(
            choices=("taylor", "taylor_activation", "fisher", "snip", "l1", "l2", "lamp", "bn_scale")
        ),
        "normalise": Categorical(choices=tuple(SCALES)),
        "per_mac": Categorical(choices=(False, True)),
    }
    needs: ClassVar[frozenset[str]] = frozenset({"weights", "gradients", "activations"})
    scalar: ClassVar[str | None] = "ratio"
    scalar_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    fidelity: ClassVar[str] = "counts alone; any of eight criteria"

    method: str = "taylor"
    normalise: str = "l2"
    per_mac: bool = False
    ratio: float = 0.5

    def ratios(self, groups: Sequence[ChannelGroup], evidence: Evidence) -> FloatArray:
        name = f"ranking by {self.method}, {self.normalise}, {self.per_mac}"
        owners = evidence.derived(None, cache_key(name, groups), lambda: self._owners(groups, evidence))
        num_removed = int(np.floor(self.ratio * len(owners) + 1e-6))
        counts = np.bincount(owners[:num_removed], minlength=len(groups))
        share: FloatArray = counts / np.array([group.width for group in groups])
        return share

    def _owners(self, groups: Sequence[ChannelGroup], evidence: Evidence) -> IntArray:
        """Group of every channel of the network, lowest score first; equal scores in the order of the network."""
        method: Any = METHODS.build(self.method)
        compute = macs_per_channel(groups, evidence) if self.per_mac else np.ones(len(groups))
        scores = []
        for group, macs in zip(groups, compute, strict=True):
            score: Tensor = evidence.derived(group, repr(method), partial(method.score, group, evidence))
            scores.append((score / SCALES[self.normalise](score).clamp_min(1e-30)).numpy() / max(macs, 1.0))
        owner = np.repeat(np.arange(len(groups)), [group.width for group in groups])
        ranked: IntArray = owner[np.argsort(np.concatenate(scores), kind="stable")]
        return ranked
