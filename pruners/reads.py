"""What the network's layers read while it runs: the tensors on which data-driven criteria look.

A channel's activation is the tensor that a consumer of its group reads, restricted to the group's positions: after the
batch norm, the activation function, the sum and the pooling that stand between producer and consumer. The calls are
seen where they are made (a torch function mode compares the weight argument), so functional code needs no hooks and
the network is not touched.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from spaces import ChannelGroup, Slice

CONVOLUTIONS = (functional.conv1d, functional.conv2d, functional.conv3d)
TRANSPOSED = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)
WATCHED = frozenset({*CONVOLUTIONS, *TRANSPOSED, functional.linear})
OPTIONS = ("stride", "padding", "dilation", "groups")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Read:
    """One call of a layer.

    Attributes:
        func: the torch function.
        name: state-dict name of its weight.
        weight: the weight itself.
        source: the tensor that it read.
        alias: the same values for this call alone: a gradient here came through no other reader.
        options: stride, padding, dilation and groups of a convolution.
    """

    func: Callable[..., Tensor]
    name: str
    weight: Tensor
    source: Tensor
    alias: Tensor
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def num_conv_groups(self) -> int:
        """Groups of a convolution; 1 for a linear layer."""
        return int(self.options.get("groups", 1))


class Watch(TorchFunctionMode):
    """Inside, every call of a layer with one of the given weights is written down, in order."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        """Name the weights, by state-dict name."""
        super().__init__()
        self._names = {id(tensor): name for name, tensor in weights.items()}
        self.reads: list[Read] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func not in WATCHED:
            return func(*args, **kwargs)
        given = dict(zip(("input", "weight", "bias", *OPTIONS), args, strict=False)) | kwargs
        name = self._names.get(id(given["weight"]))
        if name is None:
            return func(*args, **kwargs)
        source = given["input"]
        alias = source.view_as(source)
        options = {key: given[key] for key in OPTIONS if key in given}
        self.reads.append(
            Read(func=func, name=name, weight=given["weight"], source=source, alias=alias, options=options)
        )
        return func(alias, *args[1:], **{key: value for key, value in kwargs.items() if key != "input"})


def reads_of(group: ChannelGroup, reads: list[Read]) -> list[tuple[Slice, Read]]:
    """The calls that read a group's channels, in the order of the forward pass."""
    pieces = {piece.tensor: piece for piece in group.with_role("consumer")}
    return [(pieces[read.name], read) for read in reads if read.name in pieces]


def maps_of(tensor: Tensor, piece: Slice, read: Read) -> Tensor:
    """A group's part of what a layer read (or of its gradient), shape (samples, width, parts, height, width of a map).

    A channel has several parts where a grouped convolution reads it once per group. What is flattened before a linear
    layer becomes a square map again where its size allows, one line otherwise.
    """
    if read.func is functional.linear:
        return _maps_before_linear(tensor, _positions(piece))
    per_group = tensor.size(1) // read.num_conv_groups
    offsets = torch.arange(read.num_conv_groups) * per_group
    index = (_positions(piece)[:, :, None] + offsets).flatten(1)
    chosen = _select(tensor, index)
    return chosen.reshape(*chosen.shape[:3], -1, tensor.size(-1))


def _maps_before_linear(tensor: Tensor, index: Tensor) -> Tensor:
    width, parts = index.shape
    flat = tensor.flatten(1, -2).transpose(1, 2) if tensor.dim() > 2 else tensor[:, :, None]
    chosen = _select(flat, index)
    side = math.isqrt(parts)
    if tensor.dim() == 2 and side * side == parts:
        return chosen.reshape(-1, width, 1, side, side)
    if tensor.dim() == 2:
        return chosen.reshape(-1, width, 1, 1, parts)
    return chosen[:, :, :, None, :]


def _positions(piece: Slice) -> Tensor:
    return torch.tensor(piece.positions, dtype=torch.int64)


def _select(tensor: Tensor, index: Tensor) -> Tensor:
    """Channels (dimension 1) by an index of shape (width, parts): (samples, width, parts, ...)."""
    flat = index.reshape(-1)
    whole = len(flat) == tensor.size(1) and bool((flat == torch.arange(len(flat))).all())
    chosen = tensor if whole else tensor.index_select(1, flat.to(tensor.device))
    parts: Tensor = chosen.unflatten(1, tuple(index.shape))  # type: ignore[no-untyped-call]
    return parts
