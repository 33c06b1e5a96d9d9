"""What methods and allocators look at, gathered once per dense network and then only read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from pruners.analysis import Analysis
from pruners.cost import CostModel
from pruners.tracer import named_tensors
from spaces import ChannelGroup, Slice, UserError

KINDS = frozenset({"weights"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Facts about the dense network; tensors are on the CPU.

    Attributes:
        tensors: every parameter and buffer that a group cuts, by state-dict name.
        cost: the cost model of the groups.
    """

    tensors: Mapping[str, Tensor]
    cost: CostModel
    _derived: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False, compare=False)

    def filters(self, group: ChannelGroup) -> Tensor:
        """What computes each channel, shape (width, fan_in): rows of every producing layer side by side, float64."""
        rows: Tensor = self.derived(group, "filters", lambda: self._rows(group.with_role("producer")))
        return rows

    def distances(self, group: ChannelGroup) -> Tensor:
        """Euclidean distances between the rows of `filters`, shape (width, width), float64, zero on the diagonal."""
        distances: Tensor = self.derived(group, "distances", lambda: _distances(self.filters(group)))
        return distances

    def consumers(self, group: ChannelGroup) -> Tensor:
        """What reads each channel, shape (width, fan_out): columns of every consuming layer side by side, float64."""
        rows: Tensor = self.derived(group, "consumers", lambda: self._rows(group.with_role("consumer")))
        return rows

    def scales(self, group: ChannelGroup) -> tuple[Tensor, ...]:
        """Batch-norm weights (gamma) that act on the channels, each of shape (width,), float64."""
        compute = lambda: tuple(self._take(piece)[:, 0] for piece in batch_norm_weights(group))  # noqa: E731
        scales: tuple[Tensor, ...] = self.derived(group, "scales", compute)
        return scales

    def derived(self, group: ChannelGroup, what: str, compute: Callable[[], Any]) -> Any:
        """A figure of one group, computed at the first request and kept."""
        key = (group.name, what)
        if key not in self._derived:
            self._derived[key] = compute()
        return self._derived[key]

    def _rows(self, pieces: tuple[Slice, ...]) -> Tensor:
        return torch.cat([self._take(piece) for piece in pieces], dim=1)

    def _take(self, piece: Slice) -> Tensor:
        """Entries that each channel owns, shape (width, entries per channel)."""
        tensor = self.tensors[piece.tensor].movedim(piece.axis, 0)
        positions = torch.tensor(piece.positions, dtype=torch.int64)
        return tensor[positions.reshape(-1)].reshape(len(piece.positions), -1).double()


def _distances(rows: Tensor) -> Tensor:
    products = rows @ rows.T
    squares = products.diagonal()
    squared = (squares[:, None] + squares[None, :] - 2 * products).clamp_min_(0)
    return squared.fill_diagonal_(0).sqrt_()


def batch_norm_weights(group: ChannelGroup) -> tuple[Slice, ...]:
    """The slices that are weights of batch norms, recognised by the running mean beside them."""
    scales = group.with_role("scale")
    names = {piece.tensor for piece in scales}
    return tuple(
        piece
        for piece in scales
        if piece.tensor.endswith(".weight") and piece.tensor.removesuffix("weight") + "running_mean" in names
    )


def gather_evidence(model: nn.Module, analysis: Analysis, *, needs: frozenset[str] = KINDS) -> Evidence:
    """Collect what plugins need of the dense network, which is left as it was.

    Args:
        model: the dense network.
        analysis: its groups and cost model.
        needs: kinds of evidence that the run's plugins declare.

    Raises:
        UserError: a kind that nothing here gathers.
    """
    for kind in needs - KINDS:
        raise UserError("needs", kind, "is no kind of evidence", choices=KINDS)
    wanted = {piece.tensor for group in analysis.groups for piece in group.slices}
    tensors = {name: t.detach().cpu().clone() for name, t in named_tensors(model) if name in wanted}
    return Evidence(tensors=tensors, cost=analysis.cost)
