"""What a masked network is, at one moment of its pruning."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from pruners.masks import Masks, nonzero_macs, prunable_weights
from pruners.pq_index import PQRule
from pruners.sap_weights import gini, sparsity


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightRound:
    """The masks after an update.

    Attributes:
        number: updates before it and including it; 0 for the start.
        remaining_weights: unmasked weights.
        num_weights: of the dense network's prunable tensors.
        nonzero_macs: multiply-adds with unmasked weights, for one image; no built network's MACs.
        pqi: PQ index per tensor, of its unmasked weights; higher is sparser.
        global_pqi: of all unmasked weights together.
        gini: Gini index per tensor, the usual measure of sparsity, beside it; higher is sparser.
        global_gini: of all unmasked weights together.
        accuracy: on the search split, or None where it was not measured.
    """

    number: int
    remaining_weights: int
    num_weights: int
    nonzero_macs: int
    pqi: Mapping[str, float]
    global_pqi: float
    gini: Mapping[str, float]
    global_gini: float
    accuracy: float | None = None


def weight_round(model: nn.Module, masks: Masks, example: Tensor, *, number: int) -> WeightRound:
    """The figures of a network under masks, with the PQ index of the default p and q."""
    weights = prunable_weights(model)
    pqi, global_pqi = sparsity(weights, masks, PQRule())
    by_layer, whole = gini(weights, masks)
    return WeightRound(
        number=number,
        remaining_weights=masks.num_kept,
        num_weights=masks.num_weights,
        nonzero_macs=nonzero_macs(model, masks, example),
        pqi=pqi,
        global_pqi=global_pqi,
        gini=by_layer,
        global_gini=whole,
    )
