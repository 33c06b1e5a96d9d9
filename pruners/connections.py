"""Which inputs a group of filters reads: the rules of self-grouping networks.

Source: Guo et al., Self-grouping Convolutional Neural Networks, arXiv:2009.13803, as the authors' code computes it.
Shape legend: n filters, c input channels.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pruners.kmeans import balanced, cluster


def input_importance(weight: Tensor, *, kind: str = "l1") -> Tensor:
    """How much each filter needs each input channel, shape (n, c), float64: the L1 or L2 norm of the kernel."""
    kernels = _kernels(weight.detach().cpu().double())
    return kernels.abs().sum(dim=2) if kind == "l1" else kernels.square().sum(dim=2).sqrt()


def kernel_taylor(weight: Tensor, gradient: Tensor) -> Tensor:
    """Absolute change of the loss, to first order, if a filter's kernel for an input were zero, shape (n, c)."""
    return _kernels(weight.detach() * gradient).sum(dim=2).abs()


def normalised_rows(importance: Tensor) -> Tensor:
    """Each filter's row divided by its sum, so that small filters count as much as large ones."""
    return importance / importance.sum(dim=1, keepdim=True).clamp_min(1e-300)


def _kernels(weight: Tensor) -> Tensor:
    """(n, c, kernel positions), of a convolution's weight or a linear layer's."""
    return weight.flatten(2) if weight.dim() > 2 else weight[..., None]


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Connections:
    """A layer's connections, ready to be cut at any percentile: a group keeps the inputs above the threshold.

    The threshold is the percentile (linear interpolation) of the centroids over all filters and inputs. At least one
    connection stays.

    Attributes:
        centroids: mean importance of each input to a group's filters, shape (groups, c).
        labels: group of each filter, shape (n,).
        ascending: the centroids over all filters and inputs, sorted, shape (n * c,).
    """

    centroids: Tensor
    labels: Tensor
    ascending: npt.NDArray[np.float64]

    @classmethod
    def of(cls, importance: Tensor, labels: Tensor) -> "Connections":
        """Those of a layer with importance (n, c) and labels (n,), none of them cut yet."""
        centroids = group_centroids(importance, labels, torch.ones_like(importance, dtype=torch.bool))
        return cls(centroids=centroids, labels=labels, ascending=np.sort(centroids[labels].numpy(), axis=None))

    def kept(self, percentile: float) -> Tensor:
        """Which connections stay, shape (n, c), bool."""
        pattern = self.centroids > threshold(self.ascending, percentile)
        pattern = pattern if bool(pattern.any()) else self.centroids == self.centroids.max()
        return pattern[self.labels]

    def num_kept(self, percentile: float) -> int:
        """How many of `kept` are set, without making it."""
        limit = threshold(self.ascending, percentile)
        left = len(self.ascending) - int(self.ascending.searchsorted(limit, side="right"))
        return left or len(self.ascending) - int(self.ascending.searchsorted(self.ascending[-1]))


def threshold(ascending: npt.NDArray[np.float64], percentile: float) -> float:
    """The percentile of sorted values, linearly interpolated."""
    position = percentile / 100 * (len(ascending) - 1)
    low = int(position)
    after = ascending[min(low + 1, len(ascending) - 1)]
    return float(ascending[low] + (after - ascending[low]) * (position - low))


def cut_connections(importance: Tensor, labels: Tensor, *, percentile: float, mask: Tensor | None = None) -> Tensor:
    """Which connections stay, shape (n, c), bool: as `Connections`, after earlier cuts.

    Connections that are cut already count as zeros, so `percentile` is the cumulative share of cut connections, up to
    ties. Where the code takes the centroid over all members and the mask of the first one, this takes the centroid over
    members that still have the connection, and each member's own mask.

    Args:
        importance: shape (n, c).
        labels: group of each filter, shape (n,).
        percentile: in [0, 100].
        mask: connections that are left from earlier cuts, shape (n, c).
    """
    if mask is None:
        return Connections.of(importance, labels).kept(percentile)
    centroids = group_centroids(importance, labels, mask)
    limit = threshold(np.sort((centroids[labels] * mask).numpy(), axis=None), percentile)
    kept = mask & (centroids > limit)[labels]
    return kept if bool(kept.any()) else mask & (centroids == centroids.max())[labels]


def keep_strongest(importance: Tensor, labels: Tensor, *, percentile: float) -> Tensor:
    """Which connections stay, shape (n, c), bool, where every group reads equally many inputs: its strongest ones."""
    num_kept = num_strongest(importance.size(1), percentile)
    centroids = group_centroids(importance, labels, torch.ones_like(importance, dtype=torch.bool))
    strongest = centroids.argsort(dim=1, descending=True, stable=True)[:, :num_kept]
    pattern = torch.zeros_like(centroids, dtype=torch.bool).scatter_(1, strongest, True)
    return pattern[labels]


def num_strongest(num_inputs: int, percentile: float) -> int:
    """Inputs of every group that stay; at least one."""
    return max(1, math.floor(num_inputs * (1 - percentile / 100) + 1e-6))


def group_centroids(importance: Tensor, labels: Tensor, live: Tensor) -> Tensor:
    """Mean importance of each input to a group's filters that still read it, shape (groups, c); 0 where none does."""
    num_groups = int(labels.max()) + 1
    shape = (num_groups, importance.size(1))
    total = torch.zeros(shape, dtype=torch.float64).index_add_(0, labels, importance * live)
    readers = torch.zeros(shape, dtype=torch.float64).index_add_(0, labels, live.double())
    return total / readers.clamp_min(1)
