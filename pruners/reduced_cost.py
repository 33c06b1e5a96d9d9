"""The cost of a network some of whose layers are gone."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pruners.cost import CostModel, Products


def without_layers(cost: CostModel, modules: Sequence[str]) -> CostModel:
    """The same cost model without what the named modules and everything inside them cost.

    `dense_macs`, `dense_params` and `dense_thop` stay those of the whole network: budgets are fractions of these.
    """
    return _Reduced(cost, modules) if modules else cost


class _Reduced(CostModel):
    def __init__(self, cost: CostModel, modules: Sequence[str]) -> None:
        self.__dict__.update(cost.__dict__)
        self._macs, self._thop, self._params = (
            _without(products, modules) for products in (cost._macs, cost._thop, cost._params)
        )


def _without(products: Products, modules: Sequence[str]) -> Products:
    inside = tuple(f"{name}." for name in modules)
    stays = [i for i, layer in enumerate(products.layers) if layer not in modules and not layer.startswith(inside)]
    return replace(
        products,
        scale=products.scale[stays],
        factors=products.factors[np.array(stays, dtype=np.int64)],
        layers=tuple(products.layers[i] for i in stays),
        kinds=tuple(products.kinds[i] for i in stays),
    )
