"""What the next layer's outputs lose."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pruners import figures
from pruners.evidence import Evidence
from pruners.registries import METHODS
from spaces import ChannelGroup, Domain


@METHODS.register("thinet", paper="arXiv:1707.06342")
@dataclass(frozen=True, slots=True, kw_only=True)
class ThiNet:
    """Place in a greedy order of removal that hurts the next layer's outputs least; what goes first scores 0.

    At each turn the channel goes whose removal, together with all that went before, adds least to the squared change of
    sampled outputs. The sets are nested, so the order is the score.

    Source: Luo et al., ThiNet, arXiv:1707.06342, equation 6 and algorithm 1; the paper's least-squares rescaling of
    what stays (equation 7) is the step `rescale`. All layers that read the group are sampled.
    """

    domains: ClassVar[Mapping[str, Domain]] = {}
    needs: ClassVar[frozenset[str]] = frozenset({"maps"})
    fidelity: ClassVar[str] = (
        "the rescaling of the kept channels is the step `rescale`; all groups from the dense network"
    )

    def score(self, group: ChannelGroup, evidence: Evidence) -> Tensor:
        return removal_order(evidence.figure(group, figures.CONTRIBUTIONS))


def removal_order(products: Tensor) -> Tensor:
    """Turn at which each channel goes, shape (width,); `products` of shape (width, width) are those of contributions.

    Removing the set T changes the outputs by the sum over T of the contributions x, whose square is the sum over T x T
    of their inner products.
    """
    width = len(products)
    own, with_removed = products.diagonal(), torch.zeros(width, dtype=products.dtype)
    turns = torch.full((width,), -1.0, dtype=torch.float64)
    for turn in range(width):
        added = (own + 2 * with_removed).masked_fill(turns >= 0, torch.inf)
        chosen = int(added.argmin())
        turns[chosen] = turn
        with_removed += products[chosen]
    return turns
