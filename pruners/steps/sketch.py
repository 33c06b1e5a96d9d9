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
    buffer = rows.new_zeros(0, rows.size(1))
    for row in rows:
        if len(buffer) == 2 * num_rows:
            buffer = _shrink(buffer, num_rows)
        buffer = torch.cat([buffer, row[None]])
    return _shrink(buffer, num_rows) if len(buffer) > num_rows else buffer


def _shrink(buffer: Tensor, num_rows: int) -> Tensor:
    """The first `num_rows` scaled right singular vectors, their squares less by that of the next."""
    _, values, directions = torch.linalg.svd(buffer, full_matrices=False)
    # a singular vector's sign is arbitrary: make its largest entry positive
    largest = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True))
    directions = directions * torch.where(largest < 0, -1.0, 1.0)
    least = values[num_rows].square() if num_rows < len(values) else values.new_zeros(())
    result = buffer.new_zeros(num_rows, buffer.size(1))
    top = min(num_rows, len(values))
    result[:top] = (values.square() - least).clamp_min(0).sqrt()[:top, None] * directions[:top]
    return result
