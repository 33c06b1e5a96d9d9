"""What a group's channels own, layer by layer: evidence lays coupled layers side by side, some rules look at each."""

import torch
from torch import Tensor

from pruners.evidence import Evidence
from pruners.grouping import module_of
from spaces import ChannelGroup, Slice


def producer_parts(group: ChannelGroup, evidence: Evidence) -> tuple[Tensor, ...]:
    """Rows of each layer that computes the channels, each of shape (width, fan_in), float64, in forward order."""
    return _split(evidence.filters(group), group.with_role("producer"), evidence)


def consumer_parts(group: ChannelGroup, evidence: Evidence) -> tuple[Tensor, ...]:
    """Columns of each layer that reads the channels, each of shape (width, fan_out), float64, in forward order."""
    return _split(evidence.consumers(group), group.with_role("consumer"), evidence)


def producers(group: ChannelGroup) -> tuple[str, ...]:
    """Names of the layers that compute the channels, in forward order."""
    return tuple(dict.fromkeys(module_of(piece.tensor) for piece in group.with_role("producer")))


def is_depthwise(piece: Slice, evidence: Evidence) -> bool:
    """Whether the slice belongs to a convolution that gives each channel a filter of its own."""
    weight = evidence.tensors[piece.tensor]
    return weight.dim() > 2 and weight.size(1) == 1


def _split(side_by_side: Tensor, pieces: tuple[Slice, ...], evidence: Evidence) -> tuple[Tensor, ...]:
    columns = []
    for piece in pieces:
        weight = evidence.tensors[piece.tensor]
        columns.append(len(piece.positions[0]) * weight.numel() // weight.size(piece.axis))
    return tuple(torch.split(side_by_side, columns, dim=1))
