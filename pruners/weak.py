"""Channels that are weak on both sides: what computes them and what reads them (WSP).

A side is one row per layer, shape (layers, width). The two sides of a plain chain have one row each; a residual group
has a row per coupled layer, and a channel is as strong as its strongest row says.
"""

from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from pruners.cost import FloatArray
from pruners.evidence import Evidence
from pruners.ledger import IntArray
from pruners.parts import consumer_parts, is_depthwise, producer_parts
from spaces import ChannelGroup

Side = Literal["intersection", "product", "forward", "backward", "union", "blend"]
SIDES: tuple[str, ...] = get_args(Side)
NORMS = ("l1", "l2sq")


def forward_sums(group: ChannelGroup, evidence: Evidence, norm: str) -> FloatArray:
    """Sums of |w| (`l1`) or w^2 (`l2sq`) over each producer's rows, shape (producers, width).

    A depthwise convolution passes the channel on, so its sums are added to those of the layer before it.
    """

    def compute() -> FloatArray:
        rows: list[Tensor] = []
        pieces = group.with_role("producer")
        for piece, part in zip(pieces, producer_parts(group, evidence), strict=True):
            sums = _sums(part, norm)
            if rows and is_depthwise(piece, evidence):
                rows[-1] = rows[-1] + sums
            else:
                rows.append(sums)
        return np.stack([row.numpy() for row in rows])

    found: FloatArray = evidence.derived(group, f"forward sums {norm}", compute)
    return found


def backward_sums(group: ChannelGroup, evidence: Evidence, norm: str) -> FloatArray:
    """Sums of |w| (`l1`) or w^2 (`l2sq`) over each consumer's columns, shape (consumers, width)."""

    def compute() -> FloatArray:
        return np.stack([_sums(part, norm).numpy() for part in consumer_parts(group, evidence)])

    found: FloatArray = evidence.derived(group, f"backward sums {norm}", compute)
    return found


def ranks(sums: FloatArray) -> IntArray:
    """Rank of each channel on its side, 0 the weakest, shape (width,): the worst over the side's rows (rows, width).

    Equal sums share their highest rank, which makes `rank < position` the same as `sum < percentile at that position`.
    """
    rows = [np.searchsorted(np.sort(row), row, side="right") - 1 for row in sums]
    worst: IntArray = np.max(np.stack(rows), axis=0).astype(np.int64)
    return worst


def weak_channels(forward: FloatArray, backward: FloatArray, percentile: float) -> IntArray:
    """Indices of the channels that lie strictly below the percentile in every row of both sides, as published.

    Args:
        forward: shape (producers, width).
        backward: shape (consumers, width).
        percentile: in [0, 100], interpolated linearly between order statistics.
    """
    rows = np.concatenate([forward, backward])
    thresholds = np.percentile(rows, percentile, axis=1, method="linear")
    weak: IntArray = np.flatnonzero((rows < thresholds[:, None]).all(axis=0))
    return weak


def strength(forward: FloatArray, backward: FloatArray, *, side: str, weight_forward: float = 0.5) -> Tensor:
    """One number per channel, shape (width,), the weakest is lowest: 0, 1, ... in the order of pruning.

    Args:
        forward: shape (producers, width).
        backward: shape (consumers, width).
        side: `intersection`: the larger of the two ranks, the published rule; `union`: the smaller; `forward`,
            `backward`: one of them; `blend`: their weighted mean; `product`: the product of the two sums themselves.
        weight_forward: of the forward rank in `blend`, in [0, 1].

    Ties go by the sum of the two ranks, then by index.
    """
    ahead, back = ranks(forward), ranks(backward)
    keys: dict[str, FloatArray | IntArray] = {
        "intersection": np.maximum(ahead, back),
        "union": np.minimum(ahead, back),
        "forward": ahead,
        "backward": back,
        "blend": weight_forward * ahead + (1 - weight_forward) * back,
        "product": _level(forward) * _level(backward),
    }
    order = np.lexsort((np.arange(len(ahead)), ahead + back, keys[side]))
    score = torch.empty(len(order), dtype=torch.float64)
    score[torch.from_numpy(order)] = torch.arange(len(order), dtype=torch.float64)
    return score


def _level(sums: FloatArray) -> FloatArray:
    """A side's sums, shape (width,); rows of different layers are brought to a mean of 1 and averaged."""
    scaled = sums / np.maximum(sums.mean(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    mean: FloatArray = scaled.mean(axis=0)
    return mean


def _sums(part: Tensor, norm: str) -> Tensor:
    return part.abs().sum(dim=1) if norm == "l1" else part.square().sum(dim=1)
