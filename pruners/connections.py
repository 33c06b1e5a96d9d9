"""Which inputs a group of filters reads: the rules of self-grouping networks.

Source: Guo et al., Self-grouping Convolutional Neural Networks, arXiv:2009.13803, as the authors' code computes it.
Shape legend: n filters, c input channels.
"""

import math

import numpy as np
import torch
from torch import Tensor

from pruners.kmeans import balanced, cluster


def input_importance(weight: Tensor, *, kind: str = "l1", row_norm: bool = False) -> Tensor:
    """How much each filter needs each input channel, shape (n, c), float64: the L1 or L2 norm of the kernel.

    `row_norm` divides each filter's row by its sum, so that small filters count as much as large ones.
    """
    kernels = (
        weight.detach().cpu().double().flatten(2) if weight.dim() > 2 else weight.detach().cpu().double()[..., None]
    )
    importance = kernels.abs().sum(dim=2) if kind == "l1" else kernels.square().sum(dim=2).sqrt()
    return importance / importance.sum(dim=1, keepdim=True).clamp_min(1e-300) if row_norm else importance


def group_filters(importance: Tensor, *, num_groups: int, seed: int = 0, equalise: bool = False) -> Tensor:
    """Group of each filter, shape (n,): k-means of the rows of `importance` (n, c).

    With `equalise` all groups have equally many filters; their number is then the largest divisor of n that is not
    above `num_groups`.
    """
    if not equalise:
        return cluster(importance, num_clusters=num_groups, seed=seed)[0]
    fitting = max(d for d in range(1, min(num_groups, len(importance)) + 1) if len(importance) % d == 0)
    _, centres = cluster(importance, num_clusters=fitting, seed=seed)
    if len(centres) < fitting:  # coinciding filters: any even split of them is as good
        return torch.arange(len(importance)) * fitting // len(importance)
    return balanced(importance, centres)


def cut_connections(importance: Tensor, labels: Tensor, *, percentile: float, mask: Tensor | None = None) -> Tensor:
    """Which connections stay, shape (n, c), bool: a group keeps the inputs whose centroid is above the threshold.

    The threshold is the percentile (linear interpolation) of the centroids over all filters and inputs, connections
    that are cut already counting as zeros; so `percentile` is the cumulative share of cut connections, up to ties.
    Where the code takes the centroid over all members and the mask of the first one, this takes the centroid over
    members that still have the connection, and each member's own mask. At least one connection stays.

    Args:
        importance: shape (n, c).
        labels: group of each filter, shape (n,).
        percentile: in [0, 100].
        mask: connections that are left from earlier cuts, shape (n, c).
    """
    live = torch.ones_like(importance, dtype=torch.bool) if mask is None else mask
    centroids = group_centroids(importance, labels, live)
    threshold = float(np.percentile((centroids[labels] * live).numpy(), percentile, method="linear"))
    pattern = centroids > threshold
    kept = live & pattern[labels]
    return kept if bool(kept.any()) else live & (centroids == centroids.max())[labels]


def keep_strongest(importance: Tensor, labels: Tensor, *, percentile: float) -> Tensor:
    """Which connections stay, shape (n, c), bool, where every group reads equally many inputs: its strongest ones."""
    num_inputs = importance.size(1)
    num_kept = max(1, math.floor(num_inputs * (1 - percentile / 100) + 1e-6))
    centroids = group_centroids(importance, labels, torch.ones_like(importance, dtype=torch.bool))
    strongest = centroids.argsort(dim=1, descending=True, stable=True)[:, :num_kept]
    pattern = torch.zeros_like(centroids, dtype=torch.bool).scatter_(1, strongest, True)
    return pattern[labels]


def group_centroids(importance: Tensor, labels: Tensor, live: Tensor) -> Tensor:
    """Mean importance of each input to a group's filters that still read it, shape (groups, c); 0 where none does."""
    num_groups = int(labels.max()) + 1
    shape = (num_groups, importance.size(1))
    total = torch.zeros(shape, dtype=torch.float64).index_add_(0, labels, importance * live)
    readers = torch.zeros(shape, dtype=torch.float64).index_add_(0, labels, live.double())
    return total / readers.clamp_min(1)
