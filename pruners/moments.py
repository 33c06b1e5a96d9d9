"""Second moments of what layers read: with them, least squares says what a removed channel's work is worth.

Shape legend: O outputs of a layer, C its input channels, k kernel positions, n = C * k columns of its weight.
"""

import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from pruners.reads import Read, Watch
from pruners.trace import evaluating
from pruners.tracer import named_tensors
from spaces import ChannelGroup

MOST_COLUMNS = 2400
"""Layers with more columns get moments of their channels alone, those with more channels none."""

ROWS_PER_COLUMN = 2
"""Sampled rows per column and batch; over eight batches 16 samples per unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """What a layer's inputs look like, over images and output positions.

    Attributes:
        covariance: (n, n) float32: of the patches under the kernel, columns ordered as the flattened weight (C, k); or
            (C, C), of the channels at one position, where n is too large.
        mean: (n,) or (C,), float32.
    """

    covariance: Tensor
    mean: Tensor


class MomentSums:
    """Sums over batches for the layers that read any group's channels, without grouped and transposed convolutions."""

    def __init__(self, model: nn.Module, groups: Sequence[ChannelGroup]) -> None:
        wanted = {piece.tensor for group in groups for piece in group.with_role("consumer")}
        self._model = model
        self._weights = {name: tensor for name, tensor in named_tensors(model) if name in wanted}
        self._sums: dict[str, Any] = {}
        self._counts: dict[str, int] = defaultdict(int)
        self._num_batches = 0

    def add(self, images: Tensor) -> None:
        """One batch of images (B, C, H, W)."""
        if not self._weights:
            return
        device = next(iter(self._weights.values())).device
        with evaluating(self._model), torch.no_grad(), Watch(self._weights) as watch:
            self._model(images.to(device))
        for index, read in enumerate(watch.reads):
            seed = zlib.crc32(f"{read.name}/{index}/{self._num_batches}".encode())
            rows = _rows(read, torch.Generator().manual_seed(seed))
            if rows is not None:
                products, total = (rows.T @ rows).double(), rows.double().sum(dim=0)
                before = self._sums.get(read.name, (0, 0))
                self._sums[read.name] = (before[0] + products, before[1] + total)
                self._counts[read.name] += len(rows)
        self._num_batches += 1

    def result(self) -> dict[str, Moments]:
        """State-dict name of a layer's weight -> its moments, on the processor."""
        found = {}
        for name, (products, total) in self._sums.items():
            mean = total / self._counts[name]
            covariance = products / self._counts[name] - torch.outer(mean, mean)
            found[name] = Moments(covariance=covariance.float().cpu(), mean=mean.float().cpu())
        return found


def columns_of(weight: Tensor, num_inputs: int) -> Tensor:
    """A weight as (rows, columns), where columns are what moments of `num_inputs` entries speak of.

    A weight (O, C, ...) becomes (O, C * k), or (O * k, C) where moments are of channels alone.
    """
    if weight[0].numel() == num_inputs:
        return weight.flatten(1)
    return weight.flatten(2).transpose(1, 2).flatten(0, 1)


def weight_of(columns: Tensor, shape: Sequence[int]) -> Tensor:
    """The inverse of `columns_of`: a weight of `shape` (O, C, ...)."""
    if columns.size(0) == shape[0]:
        return columns.reshape(*shape)
    weight: Tensor = columns.reshape(shape[0], -1, columns.size(1)).transpose(1, 2).reshape(*shape)
    return weight


def columns_of_channels(channels: Tensor, per_channel: int) -> Tensor:
    """Column numbers of some input channels, channel after channel."""
    return (channels[:, None] * per_channel + torch.arange(per_channel, device=channels.device)).flatten()


def _rows(read: Read, generator: torch.Generator) -> Tensor | None:
    """Sampled rows of what the layer multiplies its weight with, (rows, n) or (rows, C), float32; None: not known."""
    weight, source = read.weight, read.source
    if read.func is functional.linear:
        flat = source.reshape(-1, source.size(-1))
        return None if flat.size(1) > MOST_COLUMNS else _some(flat, generator).float()
    if read.func is not functional.conv2d or read.num_conv_groups != 1 or weight.size(1) > MOST_COLUMNS:
        return None
    if weight[0].numel() > MOST_COLUMNS:
        return _some(source.permute(0, 2, 3, 1).flatten(0, 2), generator).float()
    return _patches(source, weight, read.options, generator).float()


def _some(rows: Tensor, generator: torch.Generator) -> Tensor:
    wanted = ROWS_PER_COLUMN * rows.size(1)
    if len(rows) <= wanted:
        return rows
    return rows[torch.randint(len(rows), (wanted,), generator=generator).to(rows.device)]


def _patches(source: Tensor, weight: Tensor, options: Mapping[str, Any], generator: torch.Generator) -> Tensor:
    """Patches (rows, C * k) under the kernel at random output positions of random images."""
    kernel = cast("tuple[int, int]", tuple(weight.shape[2:]))
    stride, dilation = _pair(options.get("stride", 1)), _pair(options.get("dilation", 1))
    before, after = _padding(options.get("padding", 0), kernel, dilation)
    padded = functional.pad(source, (before[1], after[1], before[0], after[0]))
    num_rows = ROWS_PER_COLUMN * weight[0].numel()
    image = torch.randint(len(source), (num_rows,), generator=generator)
    places = []
    for axis in (0, 1):
        size = padded.size(2 + axis)
        outputs = (size - dilation[axis] * (kernel[axis] - 1) - 1) // stride[axis] + 1
        start = torch.randint(outputs, (num_rows,), generator=generator) * stride[axis]
        places.append((start[:, None] + torch.arange(kernel[axis]) * dilation[axis]).to(source.device))
    rows, columns = places
    # (rows, kernel height, kernel width, C): the indexed axes come first
    patches = padded[image.to(source.device)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return patches.permute(0, 3, 1, 2).flatten(1)


def _padding(
    padding: Any, kernel: tuple[int, int], dilation: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return (total[0] // 2, total[1] // 2), (total[0] - total[0] // 2, total[1] - total[1] // 2)
    sides = (0, 0) if padding == "valid" else _pair(padding)
    return sides, sides


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[-1])
