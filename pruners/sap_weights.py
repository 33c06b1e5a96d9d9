"""SAP as published: which single weights go next.

Source: Diao et al., Pruning Deep Neural Networks from a Sparsity Perspective, arXiv:2302.05601, Algorithm 1, with the
details of the authors' code (effective count rounded up, strict comparison at the pivot).
"""

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from pruners.masks import Masks
from pruners.pq_index import PQRule, gini_index, pq_index, pruned_count

Scope: TypeAlias = Literal["neuron", "layer", "global"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


def pruned_further(
    weights: Mapping[str, Tensor],
    masks: Masks,
    rule: PQRule,
    *,
    scope: Scope = "layer",
    share: float | None = None,
) -> Masks:
    """The masks after one more pruning.

    Each unit loses its `pruned_count` smallest magnitudes among those that are left; weights as large as the first one
    that stays all stay, so ties make it fewer.

    Args:
        weights: trained weights by parameter name.
        masks: of the rounds before.
        rule: how much of a unit goes.
        scope: a unit is an output row of a tensor, a tensor, or all tensors together.
        share: of what is left of a unit goes, whatever the rule says: iterative magnitude pruning, below 1.
    """
    rows = units(weights, masks, scope)
    kept = [_still_kept(values, mask, _counts(values, mask, rule, share)) for values, mask in rows]
    if scope == "global":
        kept = list(kept[0][0].split([mask.numel() for mask in masks.kept.values()]))
    return Masks(kept={name: k.reshape(m.shape) for (name, m), k in zip(masks.kept.items(), kept, strict=True)})


def units(weights: Mapping[str, Tensor], masks: Masks, scope: Scope) -> list[tuple[Tensor, Tensor]]:
    """(magnitudes, mask) of each tensor's units, both of shape (units, d); one pair for all under global scope."""
    pairs = [(weights[name].detach().abs(), mask) for name, mask in masks.kept.items()]
    if scope == "global":
        return [(torch.cat([v.flatten() for v, _ in pairs])[None], torch.cat([m.flatten() for _, m in pairs])[None])]
    if scope == "layer":
        return [(values.reshape(1, -1), mask.reshape(1, -1)) for values, mask in pairs]
    return [(values.flatten(1), mask.flatten(1)) for values, mask in pairs]


def sparsity(weights: Mapping[str, Tensor], masks: Masks, rule: PQRule) -> tuple[dict[str, float], float]:
    """PQ index of every tensor's unmasked weights, by name, and of all together."""
    return _per_layer(weights, masks, lambda values, mask: pq_index(values, rule.p, rule.q, mask=mask))


def gini(weights: Mapping[str, Tensor], masks: Masks) -> tuple[dict[str, float], float]:
    """Gini index of every tensor's unmasked weights, by name, and of all together."""
    return _per_layer(weights, masks, lambda values, mask: gini_index(values, mask=mask))


def _per_layer(
    weights: Mapping[str, Tensor], masks: Masks, index: Callable[[Tensor, Tensor], Tensor]
) -> tuple[dict[str, float], float]:
    rows = units(weights, masks, "layer")
    layers = {name: float(index(*pair)) for name, pair in zip(masks.kept, rows, strict=True)}
    (whole,) = units(weights, masks, "global")
    return layers, float(index(*whole))


def _counts(values: Tensor, mask: Tensor, rule: PQRule, share: float | None) -> Tensor:
    if share is None:
        return pruned_count(values, rule, mask=mask)
    return torch.floor(mask.sum(dim=1) * share + 1e-6).long()


def _still_kept(values: Tensor, mask: Tensor, counts: Tensor) -> Tensor:
    """The new mask of units, shape (units, d)."""
    ascending = torch.where(mask, values, torch.inf).sort(dim=1).values
    pivot = ascending.gather(1, counts[:, None])  # a unit never loses all it has, so this is one that stays
    return mask & (values >= pivot)
