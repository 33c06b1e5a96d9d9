"""What methods and allocators look at, gathered once per dense network and then only read."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from pruners import figures
from pruners.analysis import Analysis
from pruners.blocks import block_similarities
from pruners.cost import CostModel
from pruners.elimination import Elimination, eliminate_all
from pruners.figures import Key
from pruners.gather import Loss, default_loss, gather_figures
from pruners.moments import Moments, MomentSums
from pruners.tracer import named_tensors
from spaces import ChannelGroup, Slice, UserError

FROM_DATA = frozenset({"gradients", "activations", "maps", "moments", "elimination", "blocks", "connections"})
KINDS = FROM_DATA | {"weights"}
"""weights: the tensors that groups cut. gradients: products with them. activations: what the layers that read a group
see, and the gradients there. maps: costly figures of single maps, on few images. moments: covariances of what layers
read. elimination: the order in which channels go when what stays is refitted by these covariances. blocks: whole
residual blocks. connections: gradients of single kernels."""

MADE_FROM = {"elimination": "moments"}
"""Kinds that are computed from another one, which stays behind unless it is asked for too."""

BLOCK_IMAGES = 64
DERIVED_LIMIT = 20_000


class Cache(dict[tuple[str, str], Any]):
    """Figures derived from the evidence; the oldest go when there are many, and none travel to other processes."""

    def __setitem__(self, key: tuple[str, str], value: Any) -> None:
        if len(self) >= DERIVED_LIMIT:
            del self[next(iter(self))]
        super().__setitem__(key, value)

    def __reduce__(self) -> tuple[type["Cache"], tuple[()]]:
        return Cache, ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Facts about the dense network; tensors are on the CPU.

    Attributes:
        tensors: every parameter and buffer that a group cuts, by state-dict name.
        cost: the cost model of the groups.
        kinds: what was gathered.
        figures: (group, name of `pruners.figures`) -> what data says, shape (width,) where nothing else is said.
        blocks: residual block -> how alike the network is without it, in [0, 1].
        moments: state-dict name of a weight -> covariance and mean of what its layer reads.
        eliminations: group -> the way to none of it; not of groups whose readers all lack moments.
    """

    tensors: Mapping[str, Tensor]
    cost: CostModel
    kinds: frozenset[str] = frozenset({"weights"})
    figures: Mapping[Key, Tensor] = field(default_factory=dict)
    blocks: Mapping[str, float] = field(default_factory=dict)
    moments: Mapping[str, Moments] = field(default_factory=dict)
    eliminations: Mapping[str, Elimination] = field(default_factory=dict)
    _derived: Cache = field(default_factory=Cache, repr=False, compare=False)

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

    def activation(self, group: ChannelGroup) -> Tensor:
        """Mean absolute activation, shape (width,), where the group's first consumer reads it; kind `activations`."""
        return self.figure(group, figures.ACTIVATION)

    def activation_gradient(self, group: ChannelGroup) -> Tensor:
        """Mean absolute gradient of a sample's loss at the same place, shape (width,); kind `activations`."""
        return self.figure(group, figures.ACTIVATION_GRADIENT)

    def figure(self, group: ChannelGroup, name: str) -> Tensor:
        """What data says of a group, float64; `pruners.figures` has the names.

        Where the forward pass did not show who reads a group (`unseen`), its filters' squared norms stand in.

        Raises:
            UserError: that kind of evidence was not gathered.
        """
        found = self.figures.get((group.name, name))
        if found is not None:
            return found
        if figures.KIND_OF.get(name) not in self.kinds:
            raise _not_gathered(group, name)
        norms = self.filters(group).square().sum(dim=1)
        return torch.diag(norms) if name == figures.CONTRIBUTIONS else norms

    def elimination(self, group: ChannelGroup) -> Elimination | None:
        """The order in which a group's channels go while the next layers are refitted; None: no reader has moments.

        Raises:
            UserError: kind `elimination` was not gathered.
        """
        if "elimination" not in self.kinds:
            raise _not_gathered(group, "elimination")
        return self.eliminations.get(group.name)

    def unseen(self, groups: Iterable[ChannelGroup]) -> tuple[str, ...]:
        """Names of groups that lack a figure of the gathered kinds: data says less of them, or nothing."""
        names = [name for name, kind in figures.KIND_OF.items() if kind in self.kinds]
        return tuple(g.name for g in groups if any((g.name, name) not in self.figures for name in names))

    def derived(self, group: ChannelGroup | None, what: str, compute: Callable[[], Any]) -> Any:
        """A figure of one group, or of all together, computed at the first request and kept."""
        key = (group.name if group else "", what)
        if key in self._derived:
            return self._derived[key]
        value = self._derived[key] = compute()
        return value

    def _rows(self, pieces: tuple[Slice, ...]) -> Tensor:
        return torch.cat([self._take(piece) for piece in pieces], dim=1)

    def _take(self, piece: Slice) -> Tensor:
        """Entries that each channel owns, shape (width, entries per channel)."""
        tensor = self.tensors[piece.tensor].movedim(piece.axis, 0)
        positions = torch.tensor(piece.positions, dtype=torch.int64)
        return tensor[positions.reshape(-1)].reshape(len(piece.positions), -1).double()


def _not_gathered(group: ChannelGroup, name: str) -> UserError:
    return UserError("needs", name, f"was not gathered for {group.name}: the plugin's `needs` must name its kind")


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


def gather_evidence(
    model: nn.Module,
    analysis: Analysis,
    *,
    needs: frozenset[str] = frozenset({"weights"}),
    batches: Iterable[tuple[Tensor, Tensor]] | None = None,
    loss: Loss | None = None,
) -> Evidence:
    """Collect what plugins need of the dense network, which is left as it was.

    Args:
        model: the dense network.
        analysis: its groups and cost model.
        needs: kinds of evidence that the run's plugins declare; only these are gathered.
        batches: (images (B, C, H, W), labels (B,)), normalised; some hundred images are enough. Only what needs data
            reads them, once.
        loss: (output, labels) -> mean over the batch; cross-entropy by default.

    Raises:
        UserError: a kind that nothing here gathers, or no batches where they are needed.
    """
    for kind in needs - KINDS:
        raise UserError("needs", kind, "is no kind of evidence", choices=KINDS)
    wanted = {piece.tensor for group in analysis.groups for piece in group.slices}
    tensors = {name: t.detach().cpu().clone() for name, t in named_tensors(model) if name in wanted}
    kinds = needs | {"weights"}
    from_data = needs & FROM_DATA
    if not from_data or not analysis.groups:
        return Evidence(tensors=tensors, cost=analysis.cost, kinds=kinds)
    if batches is None:
        raise UserError("needs", ", ".join(sorted(from_data)), "needs calibration batches of (images, labels)")
    used = needs | {MADE_FROM[kind] for kind in needs if kind in MADE_FROM}
    sums = MomentSums(model, analysis.groups) if "moments" in used else None
    heard = batches if sums is None else _also(batches, sums)
    found, images = gather_figures(model, analysis.groups, needs=from_data, batches=heard, loss=loss or default_loss)
    moments = {} if sums is None else sums.result()
    return Evidence(
        tensors=tensors,
        cost=analysis.cost,
        kinds=kinds,
        figures=found,
        blocks=block_similarities(model, images[:BLOCK_IMAGES]) if "blocks" in needs else {},
        moments=moments if "moments" in needs else {},
        eliminations=eliminate_all(analysis.groups, tensors, moments) if "elimination" in needs else {},
    )


def _also(batches: Iterable[tuple[Tensor, Tensor]], sums: MomentSums) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches, each of which `sums` hears too."""
    for x, y in batches:
        sums.add(x)
        yield x, y
