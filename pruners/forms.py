"""Sums of products of counts, evaluated for many vectors of kept widths at once.

Nearly all terms of a network's cost have at most two counts that change, and each count is affine in the kept widths,
so their sum is one quadratic form. All numbers are integers below 2**53, which float64 adds and multiplies exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pruners.ledger import IntArray

FloatArray = npt.NDArray[np.float64]

BATCH = 4096
"""Rows that are computed at a time, so that what lies between fits the cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Numbers of kept positions, affine in the kept widths.

    Attributes:
        weights: shape (num_groups, counts).
        bases: shape (counts,).
    """

    weights: FloatArray
    bases: FloatArray

    def at(self, kept: FloatArray) -> FloatArray:
        """Every count for each row of `kept`, shape (batch, num_groups) -> (batch, counts)."""
        counts: FloatArray = kept @ self.weights + self.bases
        return counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Products:
    """Sum over terms of scale x product of counts.

    Attributes:
        scale: shape (terms,).
        factors: index of each term's counts, shape (terms, 1 or more); unused places point at the count 1.
        layers: what each term belongs to.
        kinds: what causes it.
    """

    scale: FloatArray
    factors: IntArray
    layers: tuple[str, ...]
    kinds: tuple[str, ...]

    def only(self, terms: Sequence[int]) -> "Products":
        """Some of the terms."""
        index = np.array(terms, dtype=np.int64)
        return replace(
            self,
            scale=self.scale[index],
            factors=self.factors[index],
            layers=tuple(self.layers[term] for term in terms),
            kinds=tuple(self.kinds[term] for term in terms),
        )

    def each(self, counts: FloatArray) -> FloatArray:
        """Every term for each row of counts, shape (batch, terms); a fraction is cut off, as thop does."""
        value = np.broadcast_to(self.scale, (len(counts), len(self.scale))).copy()
        for column in self.factors.T:
            value *= counts[:, column]
        return np.floor(value + 1e-6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A sum of products as a function of kept widths: quadratic, plus the terms that are not.

    Attributes:
        square: shape (num_groups, num_groups).
        line: shape (num_groups,).
        base: what stands still.
        rest: terms that are rounded one by one or have more than two changing counts.
        counts: what `rest` needs.
    """

    square: FloatArray
    line: FloatArray
    base: float
    rest: Products
    counts: Counts

    def at(self, kept: FloatArray) -> IntArray:
        """The sum for each row of `kept`, shape (batch, num_groups) -> (batch,)."""
        total = np.empty(len(kept))
        for first in range(0, len(kept), BATCH):
            some = kept[first : first + BATCH]
            value = np.einsum("bg,bg->b", some @ self.square + self.line, some) + self.base
            if len(self.rest.scale):
                value += self.rest.each(self.counts.at(some)).sum(axis=1)
            total[first : first + BATCH] = value
        return total.astype(np.int64)


def form_of(products: Products, counts: Counts) -> Form:
    """Sum up the terms that are at most quadratic."""
    size = len(counts.weights)
    unit = (np.zeros(size), 1.0)  # the count that is always 1
    square, line, base = np.zeros((size, size)), np.zeros(size), 0.0
    rest = []
    moves = (counts.weights != 0).sum(axis=0)
    for index, (scale, factors) in enumerate(zip(products.scale, products.factors, strict=True)):
        changing = [factor for factor in factors if moves[factor]]
        scale = scale * np.prod([counts.bases[factor] for factor in factors if not moves[factor]])
        if len(changing) > 2 or scale != np.floor(scale):
            rest.append(index)
            continue
        known = [(counts.weights[:, factor], float(counts.bases[factor])) for factor in changing]
        one, two = (*known, unit, unit)[:2]
        square += scale * np.outer(one[0], two[0])
        line += scale * (one[0] * two[1] + two[0] * one[1])
        base += scale * one[1] * two[1]
    return Form(square=square, line=line, base=base, rest=products.only(rest), counts=counts)
