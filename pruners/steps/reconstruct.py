"""Let the kept channels do the removed ones' work, as far as least squares can."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from pruners.evidence import Evidence
from pruners.moments import Moments, columns_of, columns_of_channels, weight_of
from pruners.plan import Plan
from pruners.registries import STEPS
from pruners.rewrite import overwrite
from pruners.slim import removed_positions
from pruners.tracer import named_tensors
from spaces import ChannelGroup, Domain, Float


@STEPS.register("reconstruct", paper="arXiv:1707.06168")
@dataclass(frozen=True, slots=True, kw_only=True)
class Reconstruct:
    """Refit every layer that lost inputs to the outputs that it had, by least squares over the inputs that it kept.

    Source: He, Zhang, Sun, Channel Pruning for Accelerating Very Deep Neural Networks, arXiv:1707.06168, equation 1
    with the channels given: argmin ||Y - X_kept W'||. With the covariance S of the dense network's inputs, measured
    once, the solution is W' = W S[:, kept] (S[kept, kept] + ridge)^-1: no data is needed per candidate. A bias takes up
    the change of the mean; without one the batch norm that follows does, when it is recalibrated.

    OUR ADAPTATION: all layers at once from the dense network's statistics where the paper goes layer by layer; layers
    with more than 2,400 columns are refitted channel by channel, equally at every kernel position. Grouped and
    transposed convolutions stay as cut.

    Attributes:
        ridge: added to the covariance's diagonal, as a fraction of its mean.
    """

    domains: ClassVar[Mapping[str, Domain]] = {"ridge": Float(low=1e-5, high=1e-1, log=True)}
    needs: ClassVar[frozenset[str]] = frozenset({"moments"})
    keeps_cost: ClassVar[bool] = True
    fidelity: ClassVar[str] = "all layers at once from the dense network's statistics; wide layers channel by channel"

    ridge: float = 1e-3

    def apply(
        self, model: nn.Module, *, groups: Sequence[ChannelGroup], plan: Plan, dense: nn.Module, evidence: Evidence
    ) -> nn.Module:
        tensors = dict(named_tensors(dense))
        removed = removed_positions(groups, plan)
        consumers = {piece.tensor: piece.axis for group in groups for piece in group.with_role("consumer")}
        changed: dict[str, Tensor] = {}
        for name, axis in consumers.items():
            moments, gone = evidence.moments.get(name), removed.get((name, axis))
            if moments is None or not gone:
                continue
            rows = _kept(tensors[name].size(0), removed.get((name, 0), ()))
            weight = tensors[name].detach().cpu()[rows]
            kept = _kept(weight.size(1), gone)
            changed[name], shift = refit(weight, moments, kept, ridge=self.ridge)
            bias = name.removesuffix("weight") + "bias"
            if bias in tensors:
                changed[bias] = tensors[bias].detach().cpu()[rows] + shift
        return overwrite(model, changed)


def refit(weight: Tensor, moments: Moments, kept: Tensor, *, ridge: float) -> tuple[Tensor, Tensor]:
    """The best weight over the kept inputs, and how much the mean output falls short of what it was.

    Args:
        weight: (O, C, ...), of the dense network.
        moments: of its inputs.
        kept: input channels that stay, sorted.
        ridge: fraction of the covariance's mean diagonal that is added to it.

    Returns:
        (O, kept, ...) and (O,).
    """
    columns = columns_of(weight.float(), len(moments.mean))
    stay = columns_of_channels(kept, len(moments.mean) // weight.size(1))
    covariance = moments.covariance[stay]
    gram = covariance[:, stay]
    gram.diagonal().add_(ridge * moments.covariance.diagonal().mean() + torch.finfo(gram.dtype).tiny)
    solved = _solve(gram, covariance @ columns.T).T
    shift = columns @ moments.mean - solved @ moments.mean[stay]
    shape = (weight.size(0), len(kept), *weight.shape[2:])
    return weight_of(solved, shape).to(weight.dtype), shift.view(weight.size(0), -1).sum(dim=1).to(weight.dtype)


def _solve(gram: Tensor, right: Tensor) -> Tensor:
    """Solution of a symmetric positive definite system; in float64 where float32 is not enough."""
    factor, info = torch.linalg.cholesky_ex(gram)
    if int(info) == 0:
        return torch.cholesky_solve(right, factor)
    solution: Tensor = torch.linalg.lstsq(gram.double(), right.double()).solution
    return solution.to(gram.dtype)


def _kept(size: int, gone: Sequence[int] | Tensor) -> Tensor:
    stays = torch.ones(size, dtype=torch.bool)
    if len(gone):
        stays[torch.as_tensor(gone)] = False
    return stays.nonzero().squeeze(1)
