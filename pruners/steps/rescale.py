"""Weigh the kept channels so that the next layers miss the removed ones least."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from pruners import figures
from pruners.evidence import Evidence
from pruners.plan import Plan
from pruners.registries import STEPS
from pruners.rewrite import cut_tensors, overwrite
from pruners.tracer import named_tensors
from spaces import ChannelGroup, Domain, Float


@STEPS.register("rescale", paper="arXiv:1707.06342")
@dataclass(frozen=True, slots=True, kw_only=True)
class Rescale:
    """Multiply the columns that read each kept channel by one number, the least-squares fit to the dense outputs.

    Source: Luo et al., ThiNet, arXiv:1707.06342, equation 7: w = (X'X)^-1 X'y, X the kept channels' contributions to
    sampled outputs of the next layer and y all channels' together. Faithful: one factor per channel, folded into the
    weights. Ours: it follows any method; all layers that read a group share the factors; every group is fitted on the
    dense network, where the paper goes layer by layer; factors are drawn towards 1 by `ridge`, because samples are few.
    `reconstruct` fits whole weights instead.

    Attributes:
        ridge: added to the diagonal of X'X, as a fraction of its mean; large leaves the weights as they are.
    """

    domains: ClassVar[Mapping[str, Domain]] = {"ridge": Float(low=1e-4, high=1.0, log=True)}
    needs: ClassVar[frozenset[str]] = frozenset({"maps"})
    keeps_cost: ClassVar[bool] = True
    fidelity: ClassVar[str] = "one factor per channel as published; on the dense network, drawn towards 1"

    ridge: float = 0.01

    def apply(
        self, model: nn.Module, *, groups: Sequence[ChannelGroup], plan: Plan, dense: nn.Module, evidence: Evidence
    ) -> nn.Module:
        tensors = dict(named_tensors(dense))
        kept = dict(plan)
        changed: dict[str, Tensor] = {}
        for group in groups:
            stays = kept.get(group.name, tuple(range(group.width)))
            if len(stays) == group.width:
                continue
            factors = torch.ones(group.width, dtype=torch.float64)
            factors[list(stays)] = fitted(evidence.figure(group, figures.CONTRIBUTIONS), stays, ridge=self.ridge)
            for piece in group.with_role("consumer"):
                weight = changed.setdefault(piece.tensor, tensors[piece.tensor].detach().clone())
                each = torch.ones(weight.size(piece.axis), dtype=torch.float64)
                for channel, positions in enumerate(piece.positions):
                    each[list(positions)] = factors[channel]
                shape = [-1 if axis == piece.axis else 1 for axis in range(weight.dim())]
                weight *= each.to(weight).reshape(shape)
        return overwrite(model, cut_tensors(changed, groups, plan))


def fitted(products: Tensor, kept: Sequence[int], *, ridge: float) -> Tensor:
    """Factors of the kept channels, shape (kept,), that bring their sum closest to the sum of all.

    Args:
        products: inner products of the channels' contributions, shape (width, width), float64.
        kept: indices of channels that stay.
        ridge: weight of the squared distance of the factors from 1, as a fraction of the mean of the diagonal.
    """
    stays = torch.zeros(len(products), dtype=torch.bool)
    stays[list(kept)] = True
    gram = products[stays][:, stays].clone()
    gram.diagonal().add_(ridge * products.diagonal().mean() + torch.finfo(products.dtype).tiny)
    # with factors 1 + d the rest to be explained is the removed channels' sum
    missing = products[stays][:, ~stays].sum(dim=1)
    more: Tensor = torch.linalg.lstsq(gram, missing[:, None]).solution[:, 0]
    return 1 + more
