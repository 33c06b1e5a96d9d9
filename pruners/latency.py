"""Milliseconds of any vector of kept widths, from a table that was measured on the target device.

A layer's time is interpolated between measured widths; what lies between layers is fitted to whole networks. A table
is plain data: measured on one machine, it steers a search on another.
"""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from pruners.cost import CostModel, FloatArray
from pruners.ledger import IntArray
from spaces import ChannelGroup, UserError

FORMAT = "paretoprune-latency/1"
BATCH = 4096
"""Rows that are computed at a time, so that what lies between fits the cache."""
_MEGA = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyGrid:
    """Milliseconds of one layer for some sizes of its weight's first two axes; layers of one shape share it.

    For a convolution or a linear layer rows are output channels and columns input channels of each of its groups; for a
    transposed convolution the other way round.

    Attributes:
        rows: rising sizes of the first axis; the last one is the dense layer's.
        columns: likewise of the second axis.
        milliseconds: one row of times for each of `rows`; nowhere smaller for larger sizes.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    milliseconds: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        for levels in (self.rows, self.columns):
            if not levels or levels[0] < 1 or any(low >= high for low, high in pairwise(levels)):
                raise ValueError(f"sizes must be positive and rise, got {levels}")
        values = np.array([value for row in self.milliseconds for value in row])
        if [len(row) for row in self.milliseconds] != [len(self.columns)] * len(self.rows):
            raise ValueError(f"needs {len(self.rows)} x {len(self.columns)} times")
        if not (np.isfinite(values) & (values > 0)).all():
            raise ValueError("times must be finite and positive")
        grid = values.reshape(len(self.rows), len(self.columns))
        if (np.diff(grid, axis=0) < 0).any() or (np.diff(grid, axis=1) < 0).any():
            raise ValueError("times must not fall where sizes rise")


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCall:
    """One call of a layer in the forward pass: its weight's name and the position of its grid."""

    weight: str
    grid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeNetwork:
    """How a network's time is made up: `layers` x sum of its layers + `per_megabyte` x activations + `constant`.

    Not negative, fitted to measured networks. Milliseconds, but for `layers`, which has no unit: a layer that runs
    alone finds its data in the cache, and in a network it may not.
    """

    layers: float
    per_megabyte: float
    constant: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) and value >= 0 for value in (self.layers, self.per_megabyte, self.constant)):
            raise ValueError(f"needs finite numbers that are not negative, got {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyTable:
    """One network's layers on one device.

    Attributes:
        device: name of the processor or GPU.
        torch: version.
        threads: of the processor.
        batch_size: images per forward pass; all times are of a whole pass.
        dtype: of weights and images.
        input_shape: of one image.
        dense_macs: of the network, by which a table of another network is told.
        grids: measured shapes.
        calls: the network's layers in the order of the forward pass.
        whole: how a network's time is made up of them.
    """

    device: str
    torch: str
    threads: int
    batch_size: int
    dtype: str
    input_shape: tuple[int, ...]
    dense_macs: int
    grids: tuple[LatencyGrid, ...]
    calls: tuple[LayerCall, ...]
    whole: WholeNetwork
    format: str = FORMAT

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ValueError(f"the format must be {FORMAT!r}, got {self.format!r}")
        if self.batch_size < 1 or self.threads < 1:
            raise ValueError(f"needs batch_size and threads >= 1, got {self.batch_size}, {self.threads}")
        if not self.calls or any(not 0 <= call.grid < len(self.grids) for call in self.calls):
            raise ValueError("every call needs one of the grids, and there must be one")

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "LatencyTable":
        """The inverse of `to_dict`, after a way through JSON too."""
        grids = tuple(
            LatencyGrid(
                rows=tuple(grid["rows"]),
                columns=tuple(grid["columns"]),
                milliseconds=tuple(map(tuple, grid["milliseconds"])),
            )
            for grid in data["grids"]
        )
        calls = tuple(LayerCall(**call) for call in data["calls"])
        whole = WholeNetwork(**data["whole"])
        shape = tuple(data["input_shape"])
        return cls(**{**data, "grids": grids, "calls": calls, "whole": whole, "input_shape": shape})


class LatencyModel:
    """Predicted milliseconds for vectors of kept widths in the groups' order, and the most that are allowed."""

    def __init__(self, table: LatencyTable, groups: Sequence[ChannelGroup], cost: CostModel) -> None:
        """Find out how each layer's sizes depend on the kept widths.

        Raises:
            UserError: the table is of another network, or of one in which less could be cut.
        """
        if table.dense_macs != cost.dense_macs:
            rule = f"is of another network, of {table.dense_macs:,} MACs; this one has {cost.dense_macs:,}"
            raise UserError("latency.table", table.device, rule)
        self.table = table
        self.limit_ms = math.inf
        self._cost = cost
        grids = [table.grids[call.grid] for call in table.calls]
        dense = np.array([group.width for group in groups])
        self._rows = _Axis([grid.rows for grid in grids], _weights(table, groups, axis=0), dense)
        self._columns = _Axis([grid.columns for grid in grids], _weights(table, groups, axis=1), dense)
        for axis in (self._rows, self._columns):
            if (stuck := axis.stuck()) is not None:
                name = table.calls[stuck].weight
                raise UserError("latency.table", table.device, f"was measured with {name} uncut; measure it again")
        shape = (len(grids), self._rows.levels.shape[1], self._columns.levels.shape[1])
        self._times = np.zeros(shape)
        for index, grid in enumerate(grids):
            times = np.array(grid.milliseconds)
            self._times[index] = np.pad(times, [(0, shape[1] - len(times)), (0, shape[2] - times.shape[1])], "edge")

    def limited(self, milliseconds: float) -> "LatencyModel":
        """The same predictions with a budget."""
        other = copy.copy(self)
        other.limit_ms = milliseconds
        return other

    def for_round(self, kept: npt.ArrayLike, *, rounds_left: int) -> "LatencyModel":
        """The budget of the next cut of a network of these widths, when `rounds_left` more of the same ratio follow."""
        if not self.is_limited:
            return self
        now = float(self.predict(kept)[0])
        ratio = min(1.0, self.limit_ms / now)
        return self.limited(max(self.limit_ms, now * float(ratio ** (1 / (rounds_left + 1)))))

    @property
    def is_limited(self) -> bool:
        """Whether there is a budget."""
        return self.limit_ms < math.inf

    @property
    def dense_ms(self) -> float:
        """Of the dense network."""
        return float(self.predict(self._cost.dense)[0])

    @property
    def smallest_ms(self) -> float:
        """Of the smallest network in reach."""
        return float(self.predict(self._cost.smallest)[0])

    def predict(self, kept: npt.ArrayLike) -> FloatArray:
        """Milliseconds of a pass for each row of `kept`, shape (batch, num_groups) or (num_groups,) -> (batch,).

        Never falls where a width rises.
        """
        layers, megabytes = self.parts(kept)
        whole = self.table.whole
        total: FloatArray = whole.layers * layers + whole.per_megabyte * megabytes + whole.constant
        return total

    def within(self, kept: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether each row of `kept` meets the budget -> (batch,)."""
        met: npt.NDArray[np.bool_] = self.predict(kept) <= self.limit_ms
        return met

    def parts(self, kept: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """What `WholeNetwork` is fitted on: summed milliseconds of the layers, and megabytes that they write."""
        widths: IntArray = np.atleast_2d(np.asarray(kept, dtype=np.int64))
        layers = np.concatenate([self._layers(widths[i : i + BATCH]) for i in range(0, len(widths), BATCH)])
        return layers, self._cost.activation_bytes(widths) * self.table.batch_size / _MEGA

    def _layers(self, widths: IntArray) -> FloatArray:
        """Bilinear between the four measured sizes around each layer's own; shape (batch, groups) -> (batch,)."""
        row, up = self._rows.locate(widths)
        column, right = self._columns.locate(widths)
        layer = np.arange(len(self._times))
        low = (1 - right) * self._times[layer, row, column] + right * self._times[layer, row, column + 1]
        high = (1 - right) * self._times[layer, row + 1, column] + right * self._times[layer, row + 1, column + 1]
        total: FloatArray = ((1 - up) * low + up * high).sum(axis=1)
        return total


class _Axis:
    """Sizes along one axis of every layer's weight, affine in the kept widths, and the sizes that were measured."""

    def __init__(self, levels: Sequence[tuple[int, ...]], weights: FloatArray, dense: IntArray) -> None:
        size = max(2, *(len(found) for found in levels))
        # no layer is as large as a level in the padding, and the share of the way to it is 0
        self.levels = np.array([[*found, *[math.inf] * (size - len(found))] for found in levels])
        self._weights = weights
        self._base = np.array([found[-1] for found in levels]) - dense @ weights

    def stuck(self) -> int | None:
        """The first layer that has one level here although its size changes."""
        wrong = np.flatnonzero(np.isinf(self.levels[:, 1]) & (self._weights != 0).any(axis=0))
        return int(wrong[0]) if len(wrong) else None

    def locate(self, widths: IntArray) -> tuple[IntArray, FloatArray]:
        """The level below each layer's size and the share of the way to the next one, each (batch, layers)."""
        sizes = widths @ self._weights + self._base
        below = np.minimum((sizes[:, :, None] >= self.levels[:, 1:]).sum(axis=2), self.levels.shape[1] - 2)
        layer = np.arange(len(self.levels))
        low, high = self.levels[layer, below], self.levels[layer, below + 1]
        return below, np.clip((sizes - low) / (high - low), 0.0, 1.0)


def _weights(table: LatencyTable, groups: Sequence[ChannelGroup], *, axis: int) -> FloatArray:
    """Positions along `axis` of each call's weight that go with one channel of a group, shape (num_groups, calls)."""
    found = np.zeros((len(groups), len(table.calls)))
    places: dict[str, list[int]] = {}
    for index, call in enumerate(table.calls):
        places.setdefault(call.weight, []).append(index)
    for number, group in enumerate(groups):
        for piece in group.slices:
            if piece.axis == axis and piece.tensor in places:
                found[number, places[piece.tensor]] += sum(map(len, piece.positions)) / group.width
    return found
