"""Masks that grow on a schedule, with regrowth: which single weights go and which come back.

Source: Liu et al., Sparse Training via Boosting Pruning Plasticity with Neuroregeneration (GraNet), arXiv:2106.10404.
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from pruners.masks import Masks

GradualScope: TypeAlias = Literal["global", "layer"]


def cubic_sparsity(time: int, total: int, *, initial: float, final: float) -> float:
    """Sparsity after `time` of `total` updates: final + (initial - final) (1 - time / total)^3; `final` afterwards."""
    left = 1 - min(time, total) / total
    return final + (initial - final) * left**3


def pruned_to(weights: Mapping[str, Tensor], masks: Masks, sparsity: float, *, scope: GradualScope = "global") -> Masks:
    """The masks with the smallest unmasked magnitudes gone, until a share `sparsity` of all weights is masked.

    Args:
        weights: by parameter name.
        masks: before; nothing comes back.
        sparsity: masked share, in [0, 1].
        scope: magnitudes are ranked over all tensors, or within each.
    """
    names = list(masks.kept)
    scores = [torch.where(masks.kept[name], weights[name].detach().abs(), -1.0).flatten() for name in names]
    if scope == "global":
        joined = torch.cat([score.float() for score in scores])
        kept = list(_largest(joined, sparsity).split([len(score) for score in scores]))
    else:
        kept = [_largest(score, sparsity) for score in scores]
    return Masks(kept={n: k.reshape(masks.kept[n].shape) & masks.kept[n] for n, k in zip(names, kept, strict=True)})


def regenerated(weights: Mapping[str, Tensor], gradients: Mapping[str, Tensor], masks: Masks, *, rate: float) -> Masks:
    """Each tensor's smallest live weights swapped for as many masked ones with the largest gradients.

    Args:
        weights: by parameter name.
        gradients: of the loss at the masked network, also where weights are masked; tensors without one stay.
        masks: before; every tensor keeps its number of live weights.
        rate: share of a tensor's live weights that goes, rounded down.
    """
    kept = {}
    for name, mask in masks.kept.items():
        live = mask.flatten()
        count = int(rate * int(live.sum()) + 1e-6)
        if count and name in gradients:
            magnitude = torch.where(live, weights[name].detach().abs().flatten(), torch.inf)
            live = live.index_fill(0, magnitude.topk(count, largest=False).indices, False)
            # What has just gone may come back, as in the authors' code.
            gradient = torch.where(live, -1.0, gradients[name].abs().flatten())
            live = live.index_fill(0, gradient.topk(count).indices, True)
        kept[name] = live.reshape(mask.shape)
    return Masks(kept=kept)


def _largest(scores: Tensor, sparsity: float) -> Tensor:
    count = round(len(scores) * (1 - sparsity))
    return torch.zeros_like(scores, dtype=torch.bool).index_fill(0, scores.topk(count).indices, True)
