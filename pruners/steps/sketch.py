"""New filters that keep the second moment of the old ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from pruners.evidence import Evidence
from pruners.plan import Plan
from pruners.registries import STEPS
from pruners.rewrite import overwrite
from pruners.tracer import named_tensors
from spaces import Categorical, ChannelGroup, Domain


@STEPS.register("sketch", paper="arXiv:2001.08514")
@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """Replace the filters of every cut layer by a sketch of all its dense filters: a start for training.

    Source: Lin et al., FilterSketch, arXiv:2001.08514: B with B'B close to A'A by Frequent Directions, A the flattened
    filters; then the same along the input channels where these are cut too. Widths are the plan's. Biases and batch
    norms are those of the kept channels, so the network has to be recalibrated or trained before it is of use.

    Attributes:
        normalise: `filter` divides each new filter by its L2 norm, as published; `layer` gives the layer the mean
            filter norm that it had (for networks without batch norms); `none` leaves them.
    """

    domains: ClassVar[Mapping[str, Domain]] = {"normalise": Categorical(choices=("filter", "layer", "none"))}
    needs: ClassVar[frozenset[str]] = frozenset()
    fidelity: ClassVar[str] = "widths by any allocator instead of one rate; also in coupled layers"

    normalise: str = "filter"

    def apply(
        self, model: nn.Module, *, groups: Sequence[ChannelGroup], plan: Plan, dense: nn.Module, evidence: Evidence
    ) -> nn.Module:
        small, large = dict(named_tensors(model)), dict(named_tensors(dense))
        names = {piece.tensor for group in groups for piece in group.with_role("producer") if piece.axis == 0}
        new = {}
        for name in sorted(names):
            before, after = large[name], small[name]
            depthwise = before.dim() < 2 or before.size(1) == 1
            if not depthwise and before.size(0) > after.size(0):
                new[name] = self.sketched(before.detach(), num_filters=after.size(0), num_inputs=after.size(1))
        return overwrite(model, new)

    def sketched(self, weight: Tensor, *, num_filters: int, num_inputs: int) -> Tensor:
        """A weight (num_filters, num_inputs, ...) from a larger one of shape (filters, inputs, ...)."""
        norm = weight.flatten(1).norm(dim=1).mean()
        new = frequent_directions(weight.flatten(1).double().cpu(), num_filters).unflatten(1, weight.shape[1:])
        if num_inputs < weight.size(1):
            flat = new.transpose(0, 1)
            new = frequent_directions(flat.flatten(1), num_inputs).unflatten(1, flat.shape[1:]).transpose(0, 1)
        norms = new.flatten(1).norm(dim=1)
        if self.normalise == "filter":
            new = new / norms.clamp_min(1e-30).view(-1, *[1] * (new.dim() - 1))
        elif self.normalise == "layer":
            new = new * (norm.cpu() / norms.mean().clamp_min(1e-30))
        weights: Tensor = new.to(weight)
        return weights


def frequent_directions(rows: Tensor, num_rows: int) -> Tensor:
    """A matrix B of `num_rows` rows with B'B close to A'A; A has shape (many, features).

    Rows of A fill a buffer of twice as many; when it is full, all squared singular values shrink by the middle one,
    which frees the lower half. The spectral norm of A'A - B'B is at most |A|^2 / num_rows (Frobenius norm).

    Source: Liberty, arXiv:1206.0594, algorithm 1, with the doubled buffer of Ghashami et al., arXiv:1501.01711, which
    leaves no row of B empty.
    """
    buffer, used = rows.new_zeros(2 * num_rows, rows.size(1)), 0
    for row in rows:
        if used == len(buffer):
            buffer[:num_rows], used = _shrink(buffer, num_rows), num_rows
        buffer[used] = row
        used += 1
    return _shrink(buffer[:used], num_rows) if used > num_rows else buffer[:num_rows]


def _shrink(rows: Tensor, num_rows: int) -> Tensor:
    """The first `num_rows` singular directions, their squared lengths less by that of the next; by the Gram matrix."""
    squares, vectors = torch.linalg.eigh(rows @ rows.T)
    squares, vectors = squares.flip(0).clamp_min(0), vectors.flip(1)[:, :num_rows]
    top = squares[:num_rows]
    share = ((top - squares[num_rows]).clamp_min(0) / top.clamp_min(1e-300)).sqrt()
    # a singular vector's sign is arbitrary: make its largest entry positive
    largest = vectors.gather(0, vectors.abs().argmax(dim=0, keepdim=True))
    result: Tensor = (vectors * torch.where(largest < 0, -share, share)).T @ rows
    return result
