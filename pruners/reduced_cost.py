"""The cost of a network some of whose layers are gone."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pruners.cost import CostModel, LayerCost, Products
from pruners.ledger import IntArray


def without_layers(cost: CostModel, modules: Sequence[str]) -> CostModel:
    """The same cost model without the MACs and parameters of the named modules and of everything inside them.

    `dense_macs` and the other dense figures stay those of the whole network, since budgets are fractions of these; what
    thop counts and activations are those of the whole network too.
    """
    return _Reduced(cost, modules) if modules else cost


class _Reduced(CostModel):
    def __init__(self, cost: CostModel, modules: Sequence[str]) -> None:
        self.__dict__.update(cost.__dict__)
        self._cost = cost
        self._modules = frozenset(modules)
        self._gone_macs, self._gone_params = (self._inside(products) for products in (cost._macs, cost._params))

    def macs(self, kept: npt.ArrayLike) -> IntArray:
        return self._cost.macs(kept) - self._sum(self._gone_macs, kept)

    def params(self, kept: npt.ArrayLike) -> IntArray:
        return self._cost.params(kept) - self._sum(self._gone_params, kept)

    def layers(self, kept: npt.ArrayLike) -> tuple[LayerCost, ...]:
        return tuple(layer for layer in self._cost.layers(kept) if not self._is_gone(layer.name))

    def _sum(self, products: Products, kept: npt.ArrayLike) -> IntArray:
        total: IntArray = self._each(products, self._counts(kept)).sum(axis=1).astype(np.int64)
        return total

    def _is_gone(self, layer: str) -> bool:
        parts = layer.split(".")
        return any(".".join(parts[:length]) in self._modules for length in range(1, len(parts) + 1))

    def _inside(self, products: Products) -> Products:
        gone = [index for index, layer in enumerate(products.layers) if self._is_gone(layer)]
        return replace(
            products,
            scale=products.scale[gone],
            factors=products.factors[np.array(gone, dtype=np.int64)],
            layers=tuple(products.layers[index] for index in gone),
            kinds=tuple(products.kinds[index] for index in gone),
        )
