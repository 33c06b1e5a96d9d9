"""What several allocators share: where a group lies in the network, what it costs, what its weakest channels weigh."""

from collections.abc import Sequence

import numpy as np

from pruners.budget import rounded_widths
from pruners.cost import FloatArray
from pruners.evidence import Evidence
from pruners.ledger import IntArray
from spaces import ChannelGroup


def depths(num_groups: int) -> FloatArray:
    """Place of each group in the forward pass, 0 for the first and 1 for the last, shape (num_groups,)."""
    return np.linspace(0, 1, num_groups) if num_groups > 1 else np.full(1, 0.5)


def stage_depths(groups: Sequence[ChannelGroup]) -> FloatArray:
    """Place of each group's stage among the stages, 0 for the first and 1 for the last, shape (num_groups,)."""
    stages = list(dict.fromkeys(group.stage for group in groups))
    return depths(len(stages))[[stages.index(group.stage) for group in groups]]


def coupled(groups: Sequence[ChannelGroup], evidence: Evidence) -> FloatArray:
    """1 where several layers compute the group's channels, as along a residual stage, else 0, shape (num_groups,).

    A depthwise convolution passes its channels on and does not count.
    """
    return np.array([float(len(producers(group, evidence)) > 1) for group in groups])


def producers(group: ChannelGroup, evidence: Evidence) -> list[tuple[int, ...]]:
    """Shapes (outputs, inputs, kernel...) of the layers that compute the group, without depthwise ones."""
    shapes = [tuple(evidence.tensors[piece.tensor].shape) for piece in group.with_role("producer")]
    # the first one makes the channels, even of an image with a single one, so it is not depthwise
    return shapes[:1] + [shape for shape in shapes[1:] if len(shape) > 1 and shape[1] > 1]


def weighted_ratios(ratio: float, strength: FloatArray) -> FloatArray:
    """Removed fractions 1 - (1 - ratio)^strength: everywhere 0 at 0 and 1 at 1, more where strength > 1."""
    removed: FloatArray = 1 - (1 - min(max(ratio, 0.0), 1.0)) ** strength
    return removed


def levels(groups: Sequence[ChannelGroup], num_levels: int) -> IntArray:
    """Widths from full to smallest in equal steps, shape (num_levels, num_groups)."""
    share = np.linspace(0, 1, num_levels)[:, None] * np.ones(len(groups))
    return rounded_widths(share, groups)


def macs_per_channel(groups: Sequence[ChannelGroup], evidence: Evidence) -> FloatArray:
    """MACs that go with one channel of each group, all else at full width, shape (num_groups,)."""
    fewer = np.tile(evidence.cost.dense, (len(groups), 1)) - np.eye(len(groups), dtype=np.int64)
    saved: FloatArray = (evidence.cost.dense_macs - evidence.cost.macs(fewer)).astype(np.float64)
    return saved


def energy_loss(group: ChannelGroup, evidence: Evidence) -> FloatArray:
    """Minus the logarithm of the squared norm's share that is left without the k weakest channels, k = 0..width - 1.

    Convex where channels are alike, so that no group is emptied before others are touched. Shape (width,).
    """
    return evidence.derived(group, "energy loss", lambda: _energy_loss(group, evidence))  # type: ignore[no-any-return]


def _energy_loss(group: ChannelGroup, evidence: Evidence) -> FloatArray:
    squares = evidence.filters(group).square().sum(dim=1).sort(descending=True).values.numpy()
    left = np.cumsum(squares)[::-1]
    loss: FloatArray = -np.log(np.maximum(left / max(left[0], 1e-300), 1e-12))
    return loss


def num_layers(groups: Sequence[ChannelGroup], evidence: Evidence) -> FloatArray:
    """Layers that compute each group, shape (num_groups,): a cut hurts each of them."""
    return np.array([float(len(producers(group, evidence))) for group in groups])


def cache_key(name: str, groups: Sequence[ChannelGroup]) -> str:
    """A key for what holds for these groups together."""
    return f"{name} of {[(group.name, group.min_keep, group.multiple_of) for group in groups]}"
