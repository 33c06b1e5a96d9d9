"""MACs and parameters of any vector of kept widths, without building the network.

A term of the trace is a product of counts, and each count is affine in the kept widths; `pruners.forms` sums them up.
All figures are for one image; one multiply-add is one MAC.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pruners.forms import Counts, Form, Products, form_of
from pruners.forms import FloatArray as FloatArray
from pruners.grouping import Grouping, module_of
from pruners.ledger import IntArray
from pruners.trace import Trace
from spaces import ChannelGroup

BYTES = 4
"""Of one float32."""
Row = tuple[float, Sequence[IntArray], str, str]
"""Scale, factors, layer and kind of one term."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCost:
    """What one layer costs at some widths."""

    name: str
    kind: str
    macs: int
    params: int


class CostModel:
    """Exact costs for vectors of kept widths in the groups' order."""

    def __init__(self, trace: Trace, grouping: Grouping) -> None:
        """Turn a trace's terms into counts that are affine in the kept widths."""
        self._groups = grouping.groups
        self._owner = grouping.owner
        self._rows: list[FloatArray] = []
        self._bases: list[float] = []
        self._known: dict[bytes, int] = {}
        one = self._count(np.zeros(1, dtype=np.int64))
        rows: dict[str, list[Row]] = {"macs": [], "thop": [], "activations": [], "params": _parameter_terms(trace)}
        for term in trace.terms:
            layer = term.layer if term.counter == "thop" else module_of(term.layer)
            rows[term.counter].append((term.scale, term.factors, layer, term.kind))
        self._products = {counter: self._tabulate(terms, one) for counter, terms in rows.items()}
        self._counts = Counts(weights=np.stack(self._rows, axis=1), bases=np.array(self._bases))
        self._forms = self._summed()
        self.dense_macs = int(self.macs(self.dense)[0])
        self.dense_params = int(self.params(self.dense)[0])
        self.dense_thop = int(self.thop(self.dense)[0])

    @property
    def dense(self) -> IntArray:
        """Full widths, shape (num_groups,)."""
        return np.array([group.width for group in self._groups], dtype=np.int64)

    @property
    def smallest(self) -> IntArray:
        """Widths at which every group keeps its minimum, shape (num_groups,)."""
        return np.array([group.min_keep for group in self._groups], dtype=np.int64)

    @property
    def min_macs(self) -> int:
        """MACs of the smallest network in reach."""
        return int(self.macs(self.smallest)[0])

    def with_groups(self, groups: Sequence[ChannelGroup]) -> "CostModel":
        """The same costs for the same groups with other bounds."""
        other = object.__new__(CostModel)
        other.__dict__.update(self.__dict__)
        other._groups = tuple(groups)
        return other

    def without_layers(self, modules: Sequence[str]) -> "CostModel":
        """The same costs without what the named modules and everything inside them cost.

        `dense_macs`, `dense_params` and `dense_thop` stay those of the whole network: budgets are fractions of these.
        """
        inside = tuple(f"{name}." for name in modules)
        other = self.with_groups(self._groups)
        for counter, products in self._products.items():
            gone = [layer in modules or layer.startswith(inside) for layer in products.layers]
            kept = products.only([term for term, out in enumerate(gone) if not out])
            other._products = {**other._products, counter: kept}
        other._forms = other._summed()
        return other

    def macs(self, kept: npt.ArrayLike) -> IntArray:
        """MACs of each row of `kept`, shape (batch, num_groups) or (num_groups,) -> (batch,); lower is cheaper."""
        return self._total("macs", kept)

    def params(self, kept: npt.ArrayLike) -> IntArray:
        """Parameters of each row of `kept`, shape (batch, num_groups) or (num_groups,) -> (batch,)."""
        return self._total("params", kept)

    def thop(self, kept: npt.ArrayLike) -> IntArray:
        """What thop.profile counts for each row of `kept`: MACs, batch norms and adaptive pooling, by its own rules."""
        return self._total("thop", kept)

    def activation_bytes(self, kept: npt.ArrayLike) -> IntArray:
        """Bytes that convolutions, linear layers and attention write in float32 for each row of `kept` -> (batch,)."""
        return BYTES * self._total("activations", kept)

    def layers(self, kept: npt.ArrayLike) -> tuple[LayerCost, ...]:
        """Cost per layer at one vector of widths, shape (num_groups,), in the order of the forward pass."""
        counts = self._counts.at(self._checked(kept))
        macs: dict[str, int] = defaultdict(int)
        params: dict[str, int] = defaultdict(int)
        kinds: dict[str, str] = {}
        products = self._products["macs"]
        for value, layer, kind in zip(products.each(counts)[0], products.layers, products.kinds, strict=True):
            macs[layer] += int(value)
            kinds[layer] = kind
        products = self._products["params"]
        for value, layer in zip(products.each(counts)[0], products.layers, strict=True):
            params[layer] += int(value)
        names = [*macs, *(name for name in params if name not in macs)]
        return tuple(
            LayerCost(name=name, kind=kinds.get(name, "other"), macs=macs[name], params=params[name]) for name in names
        )

    def _count(self, labels: IntArray) -> int:
        """Register the count of kept positions of a label vector; equal counts share an index."""
        owners = self._owner[labels]
        row = np.zeros(len(self._groups))
        for group, number in zip(*np.unique(owners[owners >= 0], return_counts=True), strict=True):
            row[group] = number / self._groups[group].width
        base = float((owners < 0).sum())
        key = row.tobytes() + np.float64(base).tobytes()
        if key not in self._known:
            self._known[key] = len(self._rows)
            self._rows.append(row)
            self._bases.append(base)
        return self._known[key]

    def _tabulate(self, terms: list[Row], one: int) -> Products:
        width = max([len(factors) for _, factors, _, _ in terms], default=1)
        table = np.full((len(terms), max(width, 1)), one, dtype=np.int64)
        for index, (_, factors, _, _) in enumerate(terms):
            table[index, : len(factors)] = [self._count(factor) for factor in factors]
        return Products(
            scale=np.array([scale for scale, *_ in terms], dtype=np.float64),
            factors=table,
            layers=tuple(layer for _, _, layer, _ in terms),
            kinds=tuple(kind for *_, kind in terms),
        )

    def _checked(self, kept: npt.ArrayLike) -> FloatArray:
        rows: FloatArray = np.atleast_2d(np.asarray(kept, dtype=np.float64))
        if rows.shape[1] != len(self._groups):
            raise ValueError(f"needs one width per group ({len(self._groups)}), got shape {rows.shape}")
        return rows

    def _total(self, counter: str, kept: npt.ArrayLike) -> IntArray:
        return self._forms[counter].at(self._checked(kept))

    def _summed(self) -> dict[str, Form]:
        return {counter: form_of(products, self._counts) for counter, products in self._products.items()}


def _parameter_terms(trace: Trace) -> list[Row]:
    """One term per parameter: the product of its axes' kept positions. Buffers are no parameters."""
    terms: list[Row] = []
    for name, shape in trace.shapes.items():
        if name not in trace.parameters:
            continue
        factors = [
            np.arange(axis.first, axis.first + axis.size)
            for number in range(len(shape))
            if (axis := trace.axes.get((name, number))) is not None
        ]
        tracked = [number for number in range(len(shape)) if (name, number) in trace.axes]
        rest = float(np.prod([shape[number] for number in range(len(shape)) if number not in tracked]))
        terms.append((rest, factors, name.rpartition(".")[0], "parameters"))
    return terms


def widths(counts: Mapping[str, int], groups: Sequence[ChannelGroup]) -> IntArray:
    """Kept widths by group name as a vector in the groups' order, shape (num_groups,)."""
    return np.array([counts.get(group.name, group.width) for group in groups], dtype=np.int64)
