"""Network slimming: sparse batch-norm weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from evaluators.owned import Owned, scale_slices
from evaluators.regime import Setting
from evaluators.registries import REGIMES
from evaluators.train import TrainingHook
from spaces import Domain, Float, UserError


@REGIMES.register("slimming", paper="arXiv:1708.06519")
@dataclass(frozen=True, slots=True, kw_only=True)
class Slimming:
    """Network slimming: `strength` times the sum of absolute batch-norm weights is added to the loss.

    Source: Liu et al., arXiv:1708.06519, equation 1, g(s) = |s|; the gradient at zero is zero, as in the authors' code.
    Published strengths are 1e-4 and 1e-5 over 160 epochs. Only batch norms of channels that may be cut take part, those
    that a residual sum couples too, and no batch norm has weight decay here; both are ours. The published choice of
    widths, one percentile for the network, is the allocator `global_score` with the method `bn_scale`.
    """

    domains: ClassVar[Mapping[str, Domain]] = {"strength": Float(low=1e-6, high=1e-2, log=True)}
    granularity: ClassVar[Literal["channels", "weights"]] = "channels"
    reads: ClassVar[str] = "bn_scale"
    fidelity: ClassVar[str] = "faithful; only batch norms of channels that may be cut"

    strength: float = 1e-4

    def hooks(self, model: nn.Module, setting: Setting) -> tuple[TrainingHook, ...]:
        if not scale_slices(setting.groups):
            raise UserError("regime", "slimming", "no channel that may be cut has a batch norm; group_lasso needs none")
        return (_AbsoluteScales(model, setting, strength=self.strength),)


class _AbsoluteScales:
    def __init__(self, model: nn.Module, setting: Setting, *, strength: float) -> None:
        self._scales = scale_slices(setting.groups)
        self._owned = Owned(model, setting.groups)
        self._strength = strength

    def penalty(self, model: nn.Module, step: int) -> Tensor | None:
        sums = [self._owned.absolute_sums(group, pieces).sum() for group, pieces in self._scales]
        return self._strength * torch.stack(sums).sum()

    def after_step(self, model: nn.Module, step: int) -> None:
        """Nothing: the penalty is all."""
