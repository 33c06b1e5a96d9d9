"""MACs and parameters of any vector of kept widths, without building the network.

A term of the trace is a product of counts, and each count is affine in the kept widths; so a batch of candidates costs
one small matrix product. All figures are for one image; one multiply-add is one MAC.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pruners.grouping import Grouping, module_of
from pruners.ledger import IntArray
from pruners.trace import Trace
from spaces.group import ChannelGroup

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCost:
    """What one layer costs at some widths."""

    name: str
    kind: str
    macs: int
    params: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Products:
    """Sum over terms of scale x product of counts.

    Attributes:
        scale: shape (terms,).
        factors: index of each term's counts, shape (terms, 2 or more); unused places point at the count 1.
        layers: what each term belongs to.
        kinds: what causes it.
    """

    scale: FloatArray
    factors: IntArray
    layers: tuple[str, ...]
    kinds: tuple[str, ...]


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
        terms = {c: [t for t in trace.terms if t.counter == c] for c in ("macs", "thop")}
        self._macs = self._products([(t.scale, t.factors, module_of(t.layer), t.kind) for t in terms["macs"]], one)
        self._thop = self._products([(t.scale, t.factors, t.layer, t.kind) for t in terms["thop"]], one)
        self._params = self._products(list(_parameter_terms(trace)), one)
        self._weights = np.stack(self._rows, axis=1)
        self._base = np.array(self._bases)
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

    def macs(self, kept: npt.ArrayLike) -> IntArray:
        """MACs of each row of `kept`, shape (batch, num_groups) or (num_groups,) -> (batch,); lower is cheaper."""
        return self._total(self._macs, kept)

    def params(self, kept: npt.ArrayLike) -> IntArray:
        """Parameters of each row of `kept`, shape (batch, num_groups) or (num_groups,) -> (batch,)."""
        return self._total(self._params, kept)

    def thop(self, kept: npt.ArrayLike) -> IntArray:
        """What thop.profile counts for each row of `kept`: MACs, batch norms and adaptive pooling, by its own rules."""
        return self._total(self._thop, kept)

    def layers(self, kept: npt.ArrayLike) -> tuple[LayerCost, ...]:
        """Cost per layer at one vector of widths, shape (num_groups,), in the order of the forward pass."""
        counts = self._counts(kept)
        macs: dict[str, int] = defaultdict(int)
        params: dict[str, int] = defaultdict(int)
        kinds: dict[str, str] = {}
        for value, layer, kind in zip(
            self._each(self._macs, counts)[0], self._macs.layers, self._macs.kinds, strict=True
        ):
            macs[layer] += int(value)
            kinds[layer] = kind
        for value, layer in zip(self._each(self._params, counts)[0], self._params.layers, strict=True):
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

    def _products(self, terms: list[tuple[float, Sequence[IntArray], str, str]], one: int) -> Products:
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

    def _counts(self, kept: npt.ArrayLike) -> FloatArray:
        widths = np.atleast_2d(np.asarray(kept, dtype=np.float64))
        if widths.shape[1] != len(self._groups):
            raise ValueError(f"needs one width per group ({len(self._groups)}), got shape {widths.shape}")
        counts: FloatArray = widths @ self._weights + self._base
        return counts

    def _each(self, products: Products, counts: FloatArray) -> FloatArray:
        value = np.broadcast_to(products.scale, (len(counts), len(products.scale))).copy()
        for column in products.factors.T:
            value *= counts[:, column]
        return np.floor(value + 1e-6)

    def _total(self, products: Products, kept: npt.ArrayLike) -> IntArray:
        total: IntArray = self._each(products, self._counts(kept)).sum(axis=1).astype(np.int64)
        return total


def _parameter_terms(trace: Trace) -> list[tuple[float, Sequence[IntArray], str, str]]:
    """One term per parameter: the product of its axes' kept positions. Buffers are no parameters."""
    terms: list[tuple[float, Sequence[IntArray], str, str]] = []
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
