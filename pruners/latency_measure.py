"""Measure a latency table: every layer at several widths, then whole networks, to see what lies between the layers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pruners.analysis import Analysis
from pruners.budget import rounded_widths
from pruners.clone import clone
from pruners.cost import FloatArray
from pruners.latency import LatencyGrid, LatencyModel, LatencyTable, LayerCall, WholeNetwork
from pruners.ledger import IntArray
from pruners.plan import Plan
from pruners.slim import agree, slim
from pruners.timing import device_name, milliseconds_of, pass_times, plain_layout, undisturbed
from pruners.trace import evaluating
from pruners.tracer import named_tensors
from spaces import PlanError

LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of a layer's size at which it is measured; 0 stands for one channel."""
NETWORKS = 8
"""Networks that `WholeNetwork` is fitted to: dense, two cut evenly, and random ones."""
SECONDS = 1.0
"""Spent on measuring each of these networks, about."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Measured and predicted milliseconds of some networks, each (networks,)."""

    measured: FloatArray
    predicted: FloatArray

    @property
    def median_error(self) -> float:
        """Median over the networks of the relative error; 0 is perfect."""
        return float(np.median(np.abs(self.predicted / self.measured - 1)))

    @property
    def rank_correlation(self) -> float:
        """Spearman's, in [-1, 1]: 1 where the prediction puts the networks into the right order."""
        ranks = [np.argsort(np.argsort(values)) for values in (self.measured, self.predicted)]
        return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def measure_table(
    model: nn.Module,
    example: Tensor,
    analysis: Analysis,
    *,
    batch_size: int = 1,
    repeats: int = 15,
    say: Say | None = None,
) -> LatencyTable:
    """The latency table of a network on the device where it lies.

    Args:
        model: the dense network; not changed. Its weights do not matter.
        example: one image (1, C, H, W) on the same device.
        analysis: its groups and cost.
        batch_size: images per forward pass.
        repeats: how often each layer is timed at each of its sizes.
        say: hears of each stage.

    Raises:
        PlanError: no convolution or linear layer is called as a module.
    """
    batch = plain_layout(example.expand(batch_size, *example.shape[1:]))
    kept = networks(analysis, NETWORKS, generator=np.random.default_rng(0), anchors=True)
    with evaluating(model), torch.inference_mode():
        calls, grids = _Layers(batch, repeats=repeats, say=say or _quiet).of(model, analysis)
        if not calls:
            raise PlanError("no layer of this network can be measured alone: none is called as a module")
        (say or _quiet)("measuring whole networks")
        measured = measure(model, batch, analysis, kept)
    known: dict[str, Any] = {
        "device": device_name(example.device),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "batch_size": batch_size,
        "dtype": str(example.dtype).removeprefix("torch."),
        "input_shape": tuple(example.shape[1:]),
        "dense_macs": analysis.cost.dense_macs,
        "grids": grids,
        "calls": calls,
    }
    plain = LatencyTable(**known, whole=WholeNetwork(layers=1.0, per_megabyte=0.0, constant=0.0))
    layers, megabytes = LatencyModel(plain, analysis.groups, analysis.cost).parts(kept)
    return LatencyTable(**known, whole=_fitted(layers, megabytes, measured))


def compare(model: nn.Module, example: Tensor, analysis: Analysis, latency: LatencyModel, *, count: int) -> Comparison:
    """How well a table predicts `count` random networks that it was not fitted to; arguments as in `measure_table`."""
    batch = plain_layout(example.expand(latency.table.batch_size, *example.shape[1:]))
    kept = networks(analysis, count, generator=np.random.default_rng(1))
    with evaluating(model), torch.inference_mode():
        return Comparison(measured=measure(model, batch, analysis, kept), predicted=latency.predict(kept))


def networks(analysis: Analysis, count: int, *, generator: np.random.Generator, anchors: bool = False) -> IntArray:
    """Widths of `count` random networks of all sizes, shape (count, num_groups); `anchors` puts even cuts first."""
    size = len(analysis.groups)
    ratios = generator.uniform(0, 0.85, (count, 1)) + generator.uniform(-0.25, 0.25, (count, size))
    if anchors:
        even = np.array([0.0, 1 / 3, 2 / 3])[:count]
        ratios[: len(even)] = even[:, None]
    return rounded_widths(ratios, analysis.groups)


def measure(model: nn.Module, batch: Tensor, analysis: Analysis, kept: IntArray) -> FloatArray:
    """Undisturbed milliseconds of the networks with these widths, shape (networks, num_groups) -> (networks,)."""
    groups = analysis.groups
    small = {}
    for index, widths in enumerate(kept):
        plan = Plan.of({group.name: range(width) for group, width in zip(groups, widths, strict=True)})
        small[str(index)] = slim(model, groups, plan).eval()
    found = pass_times(small, batch, seconds=SECONDS * len(small), min_runs=10, max_runs=100)
    return np.array([undisturbed(found[name]) for name in small])


class _Layers:
    """Measures layers, those of one shape once."""

    def __init__(self, batch: Tensor, *, repeats: int, say: Say) -> None:
        self._batch, self._repeats, self._say = batch, repeats, say

    def of(self, model: nn.Module, analysis: Analysis) -> tuple[tuple[LayerCall, ...], tuple[LatencyGrid, ...]]:
        """Every call of a layer, and a grid for each shape among them."""
        moving = {(piece.tensor, piece.axis) for group in analysis.groups for piece in group.slices}
        names = {id(tensor): name for name, tensor in named_tensors(model)}
        calls: list[LayerCall] = []
        grids: dict[tuple[Any, ...], LatencyGrid] = {}
        for module, shape in _seen(model, self._batch):
            weight = names[id(module.weight)]
            moves = tuple((weight, axis) in moving for axis in (0, 1))
            key = (type(module), str(module), shape, moves)
            if key not in grids:
                self._say(f"measuring layers: {weight.removesuffix('.weight')}")
                grids[key] = self._grid(module, shape, moves)
            calls.append(LayerCall(weight=weight, grid=list(grids).index(key)))
        return tuple(calls), tuple(grids.values())

    def _grid(self, module: Any, shape: tuple[int, ...], moves: tuple[bool, ...]) -> LatencyGrid:
        rows, columns = module.weight.shape[:2]
        row_levels = _levels(rows, step=_row_step(module)) if moves[0] else (rows,)
        column_levels = _levels(columns, step=1) if moves[1] else (columns,)
        times = np.array([self._time(module, size, shape) for size in product(row_levels, column_levels)])
        smooth = monotone(times.reshape(len(row_levels), len(column_levels)))
        return LatencyGrid(
            rows=row_levels, columns=column_levels, milliseconds=tuple(tuple(map(float, row)) for row in smooth)
        )

    def _time(self, module: Any, size: tuple[int, int], shape: tuple[int, ...]) -> float:
        """Milliseconds of one call of the layer with a weight of `size` rows and columns."""
        layer = _sized(module, *size)
        if isinstance(layer, nn.Linear):
            like = (*shape[:-1], layer.in_features)
        else:
            like = (shape[0], layer.in_channels, *shape[2:])
        images = torch.rand(like, dtype=self._batch.dtype, device=self._batch.device)
        return milliseconds_of(lambda: layer(images), self._batch.device, repeats=self._repeats)


def _seen(model: nn.Module, batch: Tensor) -> list[tuple[nn.Module, tuple[int, ...]]]:
    """Convolutions and linear layers in the order of their calls, each with the shape of its input."""
    seen: list[tuple[nn.Module, tuple[int, ...]]] = []

    def note(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        if arguments and isinstance(arguments[0], Tensor):
            seen.append((module, tuple(arguments[0].shape)))

    with _hooked([module for module in model.modules() if _is_plain(module)], note):
        model(batch)
    return seen


@contextmanager
def _hooked(modules: Sequence[nn.Module], note: Callable[[nn.Module, tuple[Any, ...]], None]) -> Iterator[None]:
    handles = [module.register_forward_pre_hook(note) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _is_plain(module: nn.Module) -> bool:
    """A convolution or linear layer whose tensors are a weight and perhaps a bias; others count as in between."""
    if not isinstance(module, nn.modules.conv._ConvNd | nn.Linear):
        return False
    return {name for name, _ in named_tensors(module)} in ({"weight"}, {"weight", "bias"})


def monotone(times: FloatArray) -> FloatArray:
    """The mean of the largest rising surface below and the smallest one above, shape (rows, columns).

    Noise, and widths that suit a device badly, make layers faster where they grow; a budget needs times that never do.
    """
    above = np.maximum.accumulate(np.maximum.accumulate(times, axis=0), axis=1)
    below = np.minimum.accumulate(np.minimum.accumulate(times[::-1, ::-1], axis=0), axis=1)[::-1, ::-1]
    middle: FloatArray = (above + below) / 2
    return middle


def _levels(size: int, *, step: int) -> tuple[int, ...]:
    """Sizes to measure, in multiples of `step`."""
    return tuple(sorted({max(1, round(size * share / step)) * step for share in LEVELS}))


def _row_step(module: Any) -> int:
    """What the weight's rows come in multiples of."""
    groups = getattr(module, "groups", 1)
    if groups > 1 and groups == module.in_channels:
        return 1 if module.transposed else int(module.out_channels // groups)
    return int(groups)


def _sized(module: Any, rows: int, columns: int) -> Any:
    """The layer with another size of its weight, filled with small numbers."""
    memo: dict[int, Any] = {}
    outputs = rows
    if getattr(module, "transposed", False):
        depthwise = module.groups > 1 and module.groups == module.in_channels
        outputs = columns * (rows if depthwise else module.groups)
    sizes: Mapping[str, tuple[int, ...]] = {"weight": (rows, columns, *module.weight.shape[2:]), "bias": (outputs,)}
    for name, tensor in named_tensors(module):
        value = torch.empty(sizes[name], dtype=tensor.dtype, device=tensor.device).uniform_(-0.1, 0.1)
        memo[id(tensor)] = nn.Parameter(value, requires_grad=False)
    layer = clone(module, memo)
    agree(layer)
    return layer


def _fitted(layers: FloatArray, megabytes: FloatArray, measured: FloatArray) -> WholeNetwork:
    """Non-negative least squares of the relative errors; three unknowns, so that every set of zeros can be tried."""
    columns = np.stack([layers, megabytes, np.ones_like(layers)], axis=1) / measured[:, None]
    best, least = np.zeros(3), np.inf
    for free in product((False, True), repeat=3):
        if not any(free):
            continue
        solution = np.zeros(3)
        solution[list(free)] = np.linalg.lstsq(columns[:, list(free)], np.ones(len(columns)), rcond=None)[0]
        error = float(np.square(columns @ solution - 1).sum())
        if (solution >= 0).all() and error < least:
            best, least = solution, error
    return WholeNetwork(layers=float(best[0]), per_megabyte=float(best[1]), constant=float(best[2]))


def _quiet(_: str) -> None:
    """Says nothing."""
