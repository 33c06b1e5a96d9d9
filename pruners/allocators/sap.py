"""How sparse a group's norms already are decides how much of it goes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from pruners.cost import FloatArray
from pruners.evidence import Evidence, batch_norm_weights
from pruners.pq_index import PQRule, pq_index, pruned_share
from pruners.registries import ALLOCATORS
from spaces import Categorical, ChannelGroup, Domain, Float


@ALLOCATORS.register("sap", paper="arXiv:2302.05601")
@dataclass(frozen=True, slots=True, kw_only=True)
class SAP:
    """Sparsity-informed adaptive pruning on channels: the PQ index of a group's norms gives its removed fraction.

    Source: Diao et al., Pruning Deep Neural Networks from a Sparsity Perspective, arXiv:2302.05601, Algorithm 1. An
    ADAPTATION: the paper prunes single weights over rounds of training (`evaluators.sap` does that as published). Here
    a unit holds one norm per channel, the effective count is not rounded up (with a few channels that would end
    everything), and `gamma` is solved from the budget. Global scope divides each group's norms by their mean first,
    because norms of layers with different fan-in can't be compared.

    Attributes:
        norm: a channel's number: L1 or L2 norm of what computes it, or its mean absolute batch-norm weight.
        p: lower norm of the index.
        gap: q - p.
        eta: mass that may go with the pruned channels.
        beta: no group loses more than this share.
        scope: an index per group, or one ranking of all channels.
        gamma: factor on the redundant share.
    """

    domains: ClassVar[Mapping[str, Domain]] = {
        "norm": Categorical(choices=("l1", "l2", "bn")),
        "p": Float(low=0.1, high=1.0),
        "gap": Float(low=0.2, high=1.5),
        "eta": Float(low=0.0, high=0.5),
        "beta": Float(low=0.5, high=0.95),
        "scope": Categorical(choices=("layer", "global")),
    }
    needs: ClassVar[frozenset[str]] = frozenset({"weights"})
    fidelity: ClassVar[str] = "channels in the place of single weights; gamma solved from the budget"
    scalar: ClassVar[str | None] = "gamma"
    scalar_range: ClassVar[tuple[float, float]] = (0.0, 1024.0)

    norm: str = "l1"
    p: float = 0.5
    gap: float = 0.5
    eta: float = 0.0
    beta: float = 0.9
    scope: str = "layer"
    gamma: float = 1.0

    def __post_init__(self) -> None:
        self._rule()

    def ratios(self, groups: Sequence[ChannelGroup], evidence: Evidence) -> FloatArray:
        norms = [channel_norms(group, evidence, self.norm) for group in groups]
        counts = layer_counts(norms, self._rule()) if self.scope == "layer" else global_counts(norms, self._rule())
        shares: FloatArray = counts / np.array([group.width for group in groups])
        return shares

    def _rule(self) -> PQRule:
        return PQRule(p=self.p, q=self.p + self.gap, eta=self.eta, gamma=self.gamma, beta=self.beta)


def channel_norms(group: ChannelGroup, evidence: Evidence, norm: str) -> Tensor:
    """One number per channel, shape (width,); a group without batch norm has the L1 norm in place of `bn`."""

    def compute() -> Tensor:
        if norm == "bn" and batch_norm_weights(group):
            return torch.stack([scale.abs() for scale in evidence.scales(group)]).mean(dim=0)
        filters = evidence.filters(group)
        return filters.square().sum(dim=1).sqrt() if norm == "l2" else filters.abs().sum(dim=1)

    norms: Tensor = evidence.derived(group, f"sap norms {norm}", compute)
    return norms


def layer_counts(norms: Sequence[Tensor], rule: PQRule) -> FloatArray:
    """Channels to remove, one index per group, shape (num_groups,); norms of each group have shape (width,)."""
    values = torch.nn.utils.rnn.pad_sequence(list(norms), batch_first=True)
    dimension = torch.tensor([len(norm) for norm in norms])
    live = torch.arange(values.size(1)) < dimension[:, None]
    share = pruned_share(dimension.double(), pq_index(values, rule.p, rule.q, mask=live), rule)
    counts: FloatArray = torch.floor(dimension * share + 1e-6).numpy()
    return counts


def global_counts(norms: Sequence[Tensor], rule: PQRule) -> FloatArray:
    """Channels to remove, one ranking for all, shape (num_groups,); among equal ones those of earlier groups go."""
    tiny = torch.finfo(torch.float64).tiny
    values = torch.cat([norm / norm.mean().clamp_min(tiny) for norm in norms])
    dimension = torch.tensor([len(values)], dtype=torch.float64)
    share = pruned_share(dimension, pq_index(values[None], rule.p, rule.q), rule)
    num_removed = int(torch.floor(dimension * share + 1e-6))
    owner = torch.repeat_interleave(torch.arange(len(norms)), torch.tensor([len(norm) for norm in norms]))
    lowest = values.argsort(stable=True)[:num_removed]
    counts: FloatArray = torch.bincount(owner[lowest], minlength=len(norms)).double().numpy()
    return counts
