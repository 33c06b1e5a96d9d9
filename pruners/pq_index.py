"""The PQ index of sparsity and the pruned counts that follow from it (SAP, arXiv:2302.05601).

A unit is one row of magnitudes: a layer, a neuron, or the whole network; functions take many units at once. Masked
entries count neither in the norms nor in the dimension d.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

MIN_GAP = 0.2
"""Smallest q - p: the exponents divide by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PQRule:
    """Hyper-parameters of one pruning decision.

    Attributes:
        p: lower norm, 0 < p.
        q: upper norm, q - p >= 0.2.
        eta: how much of the p-th power mass may go with the pruned entries; 0 or more, larger prunes more.
        gamma: factor on the share that the index calls redundant; larger prunes more.
        beta: no unit loses more than this share at once, in [0, 1).
        round_up: round the effective count up to whole entries, as the authors' code does for single weights; norm
            vectors of a few channels need it off.
    """

    p: float = 0.5
    q: float = 1.0
    eta: float = 0.0
    gamma: float = 1.0
    beta: float = 0.9
    round_up: bool = False

    def __post_init__(self) -> None:
        if not (self.p > 0 and self.q - self.p >= MIN_GAP - 1e-9):
            raise ValueError(f"needs 0 < p and q - p >= {MIN_GAP}, got p = {self.p} and q = {self.q}")
        if self.eta < 0 or self.gamma < 0 or not 0 <= self.beta < 1:
            raise ValueError(f"needs eta >= 0, gamma >= 0 and 0 <= beta < 1, got {self}")


def pq_index(values: Tensor, p: float, q: float, *, mask: Tensor | None = None) -> Tensor:
    """1 - d^(1/q - 1/p) * |w|_p / |w|_q of each row of `values` (units, d), shape (units,); larger is sparser.

    0 for constant magnitudes, 1 - d^(1/q - 1/p) for a single non-zero entry. Undefined for a unit without entries or
    of zeros only; 0 there, so that such a unit is left alone.
    """
    live = torch.ones_like(values, dtype=torch.bool) if mask is None else mask
    dimension = live.sum(dim=1).clamp_min(1)
    magnitude = torch.where(live, values.abs().double(), 0.0)
    peak = magnitude.amax(dim=1, keepdim=True)
    scaled = magnitude / torch.where(peak > 0, peak, 1.0)  # powers neither overflow nor vanish
    lower = (_powers(scaled, p, live).sum(dim=1) / dimension) ** (1 / p)
    upper = (_powers(scaled, q, live).sum(dim=1) / dimension) ** (1 / q)
    index = 1 - lower / torch.where(upper > 0, upper, 1.0)
    return torch.where(peak[:, 0] > 0, index, 0.0).clamp_min(0.0)


def gini_index(values: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Gini index of each row of `values` (units, d), shape (units,); in [0, 1 - 1/d], larger is sparser.

    1 - 2 sum_k |w|_(k) / |w|_1 * (d - k + 1/2) / d over ascending magnitudes, k from 1 (Hurley and Rickard,
    arXiv:0811.4706, table 1): what SAP is compared with. 0 where the PQ index is undefined.
    """
    live = torch.ones_like(values, dtype=torch.bool) if mask is None else mask
    dimension = live.sum(dim=1, keepdim=True).double()
    ascending = torch.where(live, values.abs().double(), 0.0).sort(dim=1).values  # masked zeros come first
    place = torch.arange(values.size(1), 0, -1, dtype=torch.float64, device=values.device)
    total = ascending.sum(dim=1, keepdim=True)
    weighted = (ascending * (place - 0.5)).sum(dim=1) / (total * dimension).clamp_min(1e-300)[:, 0]
    return torch.where(total[:, 0] > 0, 1 - 2 * weighted, 0.0).clamp_min(0.0)


def effective_count(dimension: Tensor, index: Tensor, rule: PQRule) -> Tensor:
    """Lower bound on the entries worth keeping, shape (units,): equation of r in the paper's theorem.

    r = d * (1 + eta)^(-q / (q - p)) * (1 - I)^(p q / (q - p)).
    """
    gap = rule.q - rule.p
    count = dimension.double() * (1 + rule.eta) ** (-rule.q / gap) * (1 - index) ** (rule.p * rule.q / gap)
    # 4 equal weights have r = 4 and not 4.000000001, which would round up to 5
    return torch.ceil(count - 1e-9) if rule.round_up else count


def pruned_share(dimension: Tensor, index: Tensor, rule: PQRule) -> Tensor:
    """Fraction of each unit's entries to remove, shape (units,): min(gamma * (1 - r / d), beta); 0 for an empty one."""
    redundant = 1 - effective_count(dimension, index, rule) / dimension.clamp_min(1)
    return torch.where(dimension > 0, (rule.gamma * redundant).clamp(0.0, rule.beta), 0.0)


def pruned_count(values: Tensor, rule: PQRule, *, mask: Tensor | None = None) -> Tensor:
    """Whole number of entries of each unit to remove, shape (units,), int64; values (units, d)."""
    live = torch.ones_like(values, dtype=torch.bool) if mask is None else mask
    dimension = live.sum(dim=1).double()
    share = pruned_share(dimension, pq_index(values, rule.p, rule.q, mask=live), rule)
    return torch.floor(dimension * share + 1e-6).long()


def _powers(magnitude: Tensor, exponent: float, live: Tensor) -> Tensor:
    """Magnitudes to a power, zero where masked; 0 to any power is 0."""
    return torch.where(live, magnitude**exponent, 0.0)
