"""What a trace writes down: label nodes, ties between them, what must stay dense, and what costs compute.

A node is one position along one axis of one parameter or buffer; node 0 stands for a constant. Channels that must be
cut together end up in one class of the relation that `tie` builds.
"""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from spaces.group import Role

CONSTANT = 0
RECORD = -1
"""In place of an axis: the nodes belong to a number that counts channels, not to a tensor."""
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis of one tensor, or one number (axis RECORD), and the first of its `size` consecutive nodes."""

    tensor: str
    axis: int
    size: int
    first: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One summand of a network's cost: `scale` times, for every factor, the number of its labels that are kept.

    Attributes:
        counter: `macs`, `activations` (elements written), or `thop` for what thop adds up.
        layer: the parameter or module that causes it.
        kind: `conv`, `linear`, `attention`, or thop's name of the operation.
        scale: cost of one combination; a fraction only for thop's adaptive pooling, whose product thop truncates.
        factors: label vectors, each of shape (positions,).
    """

    counter: str
    layer: str
    kind: str
    scale: float
    factors: tuple[IntArray, ...]


@dataclass(slots=True)
class Ledger:
    """The growing record of one trace."""

    axes: dict[tuple[str, int], Axis] = field(default_factory=dict)
    roles: dict[tuple[str, int], Role] = field(default_factory=dict)
    both: set[tuple[str, int]] = field(default_factory=set)
    frozen: dict[int, str] = field(default_factory=dict)
    hints: dict[int, str] = field(default_factory=dict)
    terms: list[Term] = field(default_factory=list)
    stages: dict[str, str] = field(default_factory=dict)
    num_nodes: int = 1
    _ties: list[IntArray] = field(default_factory=list)
    _starts: list[int] = field(default_factory=list)
    _by_start: list[Axis] = field(default_factory=list)

    def nodes(self, tensor: str, axis: int, size: int) -> Tensor:
        """The nodes of one axis, shape (size,); the same ones at every call."""
        key = (tensor, axis)
        if key not in self.axes:
            self.axes[key] = Axis(tensor=tensor, axis=axis, size=size, first=self.num_nodes)
            self._starts.append(self.num_nodes)
            self._by_start.append(self.axes[key])
            self.num_nodes += size
        first = self.axes[key].first
        return torch.arange(first, first + size)

    def role(self, tensor: str, axis: int, role: Role) -> None:
        """Say what an axis does; producing or consuming outranks scaling."""
        key = (tensor, axis)
        if self.roles.get(key, "scale") == "scale":
            self.roles[key] = role
        elif {role, self.roles[key]} == {"producer", "consumer"}:
            self.both.add(key)

    def opaque(self, reason: str) -> Tensor:
        """A new node, shape (1,), for values that no channel label describes; whatever ties with it stays dense."""
        node = self.num_nodes
        self.num_nodes += 1
        self.frozen[node] = reason
        return torch.tensor([node])

    def freeze(self, labels: Tensor, reason: str) -> None:
        """Keep every channel in `labels` dense; the first reason given to a label is the one reported."""
        for node in torch.unique(labels).tolist():
            if node != CONSTANT:
                self.frozen.setdefault(node, reason)

    def hint(self, labels: Tensor, reason: str) -> None:
        """Remember what tied these channels, to be reported if too few independent ones are left."""
        for node in torch.unique(labels).tolist():
            if node != CONSTANT:
                self.hints.setdefault(node, reason)

    def tie_along(self, labels: Tensor, dim: int) -> Tensor:
        """Cut together whatever differs along `dim` only; answers one label each, size 1 along `dim`."""
        first = labels.amax(dim=dim, keepdim=True)
        self.tie(labels, first.expand_as(labels))
        return first

    def owner(self, nodes: Tensor) -> Axis:
        """The axis that the first of `nodes` is a position of."""
        first = int(nodes.reshape(-1)[0])
        index = bisect.bisect_right(self._starts, first) - 1
        return self._by_start[index]

    def tie(self, left: Tensor, right: Tensor) -> None:
        """Labels at equal places of two arrays of one shape are cut together; constants tie with nothing."""
        differ = (left != right) & (left != CONSTANT) & (right != CONSTANT)
        if bool(differ.any()):
            both = torch.unique((left[differ] << 32) | right[differ]).numpy()  # one sort of numbers, not of pairs
            self._ties.append(np.stack([both >> 32, both & 0xFFFFFFFF]))

    def term(self, counter: str, layer: str, kind: str, *, scale: float, factors: Sequence[Tensor]) -> None:
        """Record a summand of the cost; factors are label arrays of any shape."""
        vectors = tuple(factor.reshape(-1).numpy().astype(np.int64) for factor in factors)
        self.terms.append(Term(counter=counter, layer=layer, kind=kind, scale=scale, factors=vectors))

    def classes(self) -> IntArray:
        """Class of every node, shape (num_nodes,): the smallest node it is tied with, directly or not."""
        parent = np.arange(self.num_nodes)
        if not self._ties:
            return parent
        left, right = np.concatenate(self._ties, axis=1)
        while True:
            low = np.minimum(parent[left], parent[right])
            before = parent.copy()
            np.minimum.at(parent, parent[left], low)
            np.minimum.at(parent, parent[right], low)
            parent = parent[parent]
            if np.array_equal(before, parent) and np.array_equal(parent[left], parent[right]):
                return parent
