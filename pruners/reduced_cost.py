"""The cost of a network some of whose layers are gone."""

from collections.abc import Sequence

from pruners.cost import CostModel


def without_layers(cost: CostModel, modules: Sequence[str]) -> CostModel:
    """The same cost model without what the named modules and everything inside them cost.

    `dense_macs`, `dense_params` and `dense_thop` stay those of the whole network: budgets are fractions of these.
    """
    return cost.without_layers(modules) if modules else cost
